// SPDX-License-Identifier: Apache-2.0

// Package host reads information about processes, mounts, cgroups and files from a Linux host. It does not depend on
// probes. It keeps no state between calls, with these exceptions: [Cgroups] remembers paths, [MountKinds] remembers
// which devices belong to FUSE, and [Helpers] remembers which subjects have answered or owe an answer.
//
// Start from one of these:
//
//   - [Process] is a process, identified by its number. Each of its methods reads one file or link in /proc/PID, for
//     example the cgroup, the executable, memory counters or the root folder. [MapsReader] reads its executable
//     mappings.
//   - [Root] is a root folder, the host's or a process's. It resolves paths without ever leaving that folder.
//     [Distrust] returns why others than the host's root could change the file at a path.
//   - [Locate] extracts container, pod and unit from the path of a cgroup, and separates names by who chose them.
//     [Cgroups.Locate] does so for the number of a cgroup, and examines who could have created the cgroups on the path.
//   - [Underlying] identifies the file beneath an overlay, which is the file that the kernel attaches uprobes to.
//   - [Helpers] runs questions, each with a deadline. A question is an operation that may block forever.
//
// For example, the container that process 4711 runs in:
//
//	path, err := host.Process(4711).CgroupPath()
//	if err == nil {
//		fmt.Println(host.Locate(path).Known.ContainerID)
//	}
//
// Everything that a process controls is hostile input: its maps and links can name anything, its root folder may be
// served by a FUSE program that never answers, and it can block the reading of its maps for any time. Methods that may
// block are documented as such, and must be called through [Helpers].
package host

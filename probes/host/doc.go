// SPDX-License-Identifier: Apache-2.0

// Package host reads information about processes, mounts, cgroups and files from a Linux host. It does not depend on
// probes. It keeps no state between calls, except for [Cgroups], which remembers paths, and [Helpers], which remembers
// what did not answer.
//
// Start from one of these:
//
//   - [Process] is a process by its number. Each of its methods reads one file or link in /proc/PID: the cgroup, the
//     executable, memory counters, namespaces, the root folder. [MapsReader] reads its executable mappings.
//   - [Root] is a root folder, the host's or a process's. It resolves paths without ever leaving that folder, and
//     determines who could replace the file at a path ([Root.Distrust]).
//   - [Locate] extracts container, pod and unit from the path of a cgroup, and separates names by who chose them.
//     [Cgroups] does so for the numbers that the kernel uses, and examines who could have created the cgroups.
//   - [Underlying] identifies the file beneath an overlay, which is what the kernel attaches uprobes to.
//   - [Helpers] runs questions, which are operations that may block forever, each with a deadline.
//
// For example, the container that process 4711 runs in:
//
//	path, err := host.Process(4711).CgroupPath()
//	if err == nil {
//		fmt.Println(host.Locate(path).Known.ContainerID)
//	}
//
// Everything that a process controls is hostile input: its maps and links can name anything, its root folder may be
// served by a FUSE program that never answers, and it can block others from reading its maps for any time.
// Methods that may block are documented as such, and are called through [Helpers].
package host

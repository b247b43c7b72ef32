// SPDX-License-Identifier: Apache-2.0

// Package host reads what a Linux host says about its processes, mounts, cgroups and files. It knows nothing of probes
// and keeps no state between calls, except for [Cgroups], which remembers paths, and [Helpers], which remembers who did
// not answer.
//
// Start from one of these:
//
//   - [Process] is a process by its number. Its methods read one file or link of /proc/PID each: the cgroup, the
//     executable, memory counters, namespaces, the root folder. [MapsReader] reads its executable mappings.
//   - [Root] is a root folder, the host's or a process's. It resolves paths without ever leaving that folder, and says
//     who could replace the file at a path ([Root.Distrust]).
//   - [Locate] extracts container, pod and unit from the path of a cgroup, and says whose names they are; [Cgroups]
//     does so for the numbers that the kernel uses, and looks at who could have made the cgroups.
//   - [Underlying] identifies the file beneath an overlay, which is what the kernel attaches uprobes to.
//   - [Helpers] runs questions that may never be answered, each with a deadline.
//
// For example, the container that process 4711 runs in:
//
//	path, err := host.Process(4711).CgroupPath()
//	if err == nil {
//		fmt.Println(host.Locate(path).Known.ContainerID)
//	}
//
// Everything that a process controls is hostile input: its maps and links can name anything, its root folder may be
// served by a FUSE program that never answers, and it can keep others from reading its maps for as long as it likes.
// Methods that may block say so, and are called through [Helpers].
package host

// SPDX-License-Identifier: Apache-2.0

// Package discover finds the files of a host that contain crypto_auditing probes, at start and while it runs, including
// those of containers and other mount namespaces. It attaches nothing: it reports files, which it holds open, and later
// reports that they are no longer used.
//
//	d, err := discover.New(discover.Config{
//		Rules: discover.Rules{Enabled: true},
//		Found: func(f *discover.File) { fmt.Println("attach", f.Path, len(f.Probes.Sites)) },
//		Gone:  func(k discover.Key) { fmt.Println("detach", k) },
//	})
//	...
//	err = d.Run(ctx)
//
// # Where files are found
//
// On the host's disk, before anything runs them: the libraries that [Rules] name, those in glibc's cache of libraries,
// and those in the usual library folders.
//
// In the memory maps of every process. A process is examined when [Discoverer.Notify] names it, when its executable
// mappings have changed, and every two minutes in any case. [Config.Changed] reports changed mappings; without it, each
// pass reads /proc/PID/statm of every process.
//
// # How it is built
//
// The types depend on each other in this order, top to bottom, and so do the calls:
//
//   - [Discoverer] schedules passes over processes and disk, and calls Found, Judged and Gone (run.go, discoverer.go).
//     What other goroutines report meanwhile waits in an inbox (inbox.go, holder.go, followups.go).
//   - search makes a pass, and looks at one process after the other (search.go, look.go, maps.go); disk looks at the
//     host's disk (disk.go, libraries.go, listing.go), resolver at the files that a program is about to map
//     (resolver.go), rewrites at files that were overwritten (rewrites.go).
//   - All of these examine files in the same way, and add the findings to the catalogue (examine.go, sighting.go).
//   - processes is the table of processes, turns selects the next one (processes.go, turns.go).
//   - catalogue knows the files, and decides by rules and quotas which of them are reported (catalogue.go, entry.go,
//     quotas.go, refusals.go).
//   - owner is the unit by which limits are shared (owner.go), rules are the configuration (rules.go).
//
// Operations that may block forever run on the threads of [host.Helpers] only, which calls them questions.
//
// # Hostile input
//
// Everything that a process maps is hostile input:
//
//   - A file is opened through the mapping itself (/proc/PID/map_files), or within the root folder of its process, which
//     symbolic links cannot escape. It is opened with O_PATH first, which has no effect on devices and FIFOs.
//   - Files on FUSE are not opened, because a thread that waits for a FUSE program cannot be killed. All other
//     operations that can block run on helper threads of low priority. If an operation does not return, its thread is
//     abandoned, and no other operation on the same process or file system is started until it returns.
//   - An owner, which is a container, unit or user, gets a limited share of time, files and probe sites. Owners take
//     turns.
//
// # What identifies a file
//
// A file is identified by the inode that the kernel attaches to. For a file in an overlay, that is the inode beneath.
// Containers of one image map the same inode under different device numbers; if a probe were attached once for each
// container, each hit would be reported once for each container.
//
// # Capabilities
//
// CAP_SYS_PTRACE is needed to read other users' memory maps. CAP_CHECKPOINT_RESTORE (or CAP_SYS_ADMIN) is needed to
// open files through them; without it, deleted files and files at other paths are not found. CAP_DAC_READ_SEARCH is
// needed to read files that others may not read, and to look beneath overlays.
package discover

// SPDX-License-Identifier: Apache-2.0

// Package discover finds the files of a host that carry crypto_auditing
// probes, those of containers and other mount namespaces included, at start
// and while it runs. It attaches nothing: it reports files, held open, and
// says when they are no longer of use.
//
// Files are found in two places: on the host's disk, through the loader's
// cache and the usual library folders, before anything runs them; and in the
// memory maps of every process. A process is read again only when the amount
// of memory that it can execute has changed, which [Config.Changed] tells or
// else one read of /proc/PID/statm per process and pass, or when
// [Discoverer.Notify] says so.
// Every minute each process is read in any case, for what that cannot show.
//
// Whatever a process maps is hostile input:
//
//   - A file is opened through the mapping itself (/proc/PID/map_files), or
//     within the root of its process, where no link leads out; first as a mere
//     path, so that devices and FIFOs are never really opened.
//   - Files on FUSE are not opened: who waits for its server cannot be killed.
//     All else that can block, as on a network's file system, is done by a
//     helper thread of low priority that is left behind if it does not come
//     back; that file system is then not asked again until it has answered.
//   - A container gets a limited share of time, of files and of probe sites,
//     and turns are taken by container.
//
// A file is known by what the kernel attaches to: the inode beneath an
// overlay, not the overlay's. Containers of one image map the same inode under
// as many device numbers, and a probe attached by each of them would fire as
// often.
//
// It needs CAP_SYS_PTRACE to read other users' memory maps,
// CAP_CHECKPOINT_RESTORE (or CAP_SYS_ADMIN) to open files through them,
// without which deleted files and those with foreign paths are out of reach,
// and CAP_DAC_READ_SEARCH to read files that others keep to themselves, and to
// look beneath overlays.
package discover

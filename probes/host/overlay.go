// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"hash/fnv"
	"strings"

	"golang.org/x/sys/unix"
)

// Since Linux 6.6 an overlay returns the handle of the file that it shows: struct ovl_fh of fs/overlayfs/overlayfs.h.
const (
	atHandleFID   = 0x200 // AT_HANDLE_FID of <linux/fcntl.h>
	overlayHandle = 0xf8  // OVL_FILEID_V1
	overlayMagic  = 0xfb  // OVL_FH_MAGIC
	handleFlags   = 6     // offset; before it: 3 bytes of padding, version, magic, length
	handleType    = 7
	handleData    = 24 // after the UUID of the file system
)

// Underlying returns what identifies the file that the kernel attaches uprobes to. That is the open file itself or, on
// an overlay, the file beneath, which several overlays can show under different device numbers. mapped identifies the
// file in the maps of a process, and is zero if it was not found there.
func Underlying(fd int, st *unix.Stat_t, mapped MapID) Inode {
	inode := Inode{st.Dev, st.Ino}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil || fs.Type != unix.OVERLAYFS_SUPER_MAGIC {
		return inode
	}
	handle, _, err := unix.NameToHandleAt(fd, "", unix.AT_EMPTY_PATH|atHandleFID)
	if err != nil {
		// On older kernels, maps has the inode beneath.
		if mapped.Inode != 0 {
			return Inode{mapped.Device, mapped.Inode}
		}
		return inode
	}
	data := handle.Bytes()
	if handle.Type() != overlayHandle || len(data) <= handleData || data[4] != overlayMagic {
		return inode
	}
	if device, ok := deviceBeneath(unix.NewFileHandle(int32(data[handleType]), data[handleData:]), st); ok {
		inode.Device = device
		return inode
	}
	// The file system beneath cannot be seen from here. Overlays that show the same file still have its handle in
	// common. A copy that was made in one of them keeps the handle, but not the change time.
	hash := fnv.New64a()
	hash.Write(data[handleFlags:])
	hash.Write(binary.LittleEndian.AppendUint64(nil, uint64(st.Ctim.Nano())))
	inode.Device = hash.Sum64() | 1<<63 // no device has such a number
	return inode
}

// deviceBeneath looks for the mounted file system that has the file of a handle, with the same status as the overlay
// shows.
func deviceBeneath(handle unix.FileHandle, st *unix.Stat_t) (device uint64, ok bool) {
	tried := make(map[uint64]bool)
	_ = eachMount(ownMounts, func(m mount) bool {
		if !tried[m.device] && m.holdsLayers() {
			tried[m.device] = true
			device, ok = m.device, m.has(handle, st)
		}
		return !ok
	})
	return device, ok
}

// has reports whether the mounted file system has the file.
func (m mount) has(handle unix.FileHandle, st *unix.Stat_t) bool {
	dir, err := Open(m.point, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK)
	if err != nil {
		return false
	}
	defer unix.Close(dir)
	fd, err := unix.OpenByHandleAt(dir, handle, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var found unix.Stat_t
	return unix.Fstat(fd, &found) == nil && found.Dev == m.device && found.Ino == st.Ino &&
		found.Size == st.Size && found.Ctim == st.Ctim && found.Mtim == st.Mtim
}

// holdsLayers reports whether the file system may hold a layer of an overlay and can be opened without waiting for a
// server.
func (m mount) holdsLayers() bool {
	switch m.kind {
	case "tmpfs", "zfs", "bcachefs":
		return true
	}
	return strings.HasPrefix(m.source, "/dev/") && !m.isFUSE()
}

// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"encoding/binary"
	"hash/fnv"
	"strings"

	"golang.org/x/sys/unix"
)

// An overlay tells the handle of the file that it shows, since Linux 6.6: the
// structure ovl_fh of fs/overlayfs/overlayfs.h.
const (
	atHandleFID   = 0x200 // AT_HANDLE_FID of <linux/fcntl.h>
	overlayHandle = 0xf8  // OVL_FILEID_V1
	overlayMagic  = 0xfb  // OVL_FH_MAGIC
	handleFlags   = 6     // offset; before it: 3 bytes of padding, version, magic, length
	handleType    = 7
	handleData    = 24 // after the UUID of the file system
)

// keyOf returns the key of an open file. The kernel attaches to inodes beneath
// overlays, so two overlays that show one file must give one key.
func keyOf(fd int, st *unix.Stat_t, id mapID) Key {
	key := Key{Device: st.Dev, Inode: st.Ino, Changed: st.Ctim.Nano()}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil || fs.Type != unix.OVERLAYFS_SUPER_MAGIC {
		return key
	}
	handle, _, err := unix.NameToHandleAt(fd, "", unix.AT_EMPTY_PATH|atHandleFID)
	if err != nil {
		// Older kernels tell the inode beneath in maps.
		if id.inode != 0 {
			key.Device, key.Inode = id.device, id.inode
		}
		return key
	}
	data := handle.Bytes()
	if handle.Type() != overlayHandle || len(data) <= handleData || data[4] != overlayMagic {
		return key
	}
	if device, ok := deviceBeneath(unix.NewFileHandle(int32(data[handleType]), data[handleData:]), st); ok {
		key.Device = device
		return key
	}
	// The file system beneath is out of sight. Overlays that show the same
	// file still have its handle in common; a copy that was made in one of
	// them keeps the handle, but not the change time.
	hash := fnv.New64a()
	hash.Write(data[handleFlags:])
	hash.Write(binary.LittleEndian.AppendUint64(nil, uint64(key.Changed)))
	key.Device = hash.Sum64() | 1<<63 // no device has such a number
	return key
}

// deviceBeneath looks for the file system that has the file of a handle, which
// must be in every respect what the overlay says that it is.
func deviceBeneath(handle unix.FileHandle, st *unix.Stat_t) (device uint64, ok bool) {
	tried := make(map[uint64]bool)
	_ = eachMount("/proc/self/mountinfo", func(m mount) bool {
		if !tried[m.device] && m.holdsLayers() {
			tried[m.device] = true
			device, ok = m.device, m.has(handle, st)
		}
		return !ok
	})
	return device, ok
}

// has says whether the mounted file system has the file.
func (m mount) has(handle unix.FileHandle, st *unix.Stat_t) bool {
	dir, err := open(m.point, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK)
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

// holdsLayers says whether a layer of an overlay may be there, and whether it
// can be opened without waiting for a server.
func (m mount) holdsLayers() bool {
	switch m.kind {
	case "tmpfs", "zfs", "bcachefs":
		return true
	}
	return strings.HasPrefix(m.source, "/dev/") && !m.isFuse()
}

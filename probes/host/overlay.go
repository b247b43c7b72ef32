// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Since Linux 6.6, the file handle of a file on an overlay contains the handle of the file beneath, in a struct ovl_fh
// of fs/overlayfs/overlayfs.h.
const (
	atHandleFID   = 0x200 // AT_HANDLE_FID of <linux/fcntl.h>
	overlayHandle = 0xf8  // OVL_FILEID_V1
	overlayMagic  = 0xfb  // OVL_FH_MAGIC
	handleFlags   = 6     // offset of the flags, behind 3 bytes of padding, version, magic and length
	handleType    = 7     // offset of the type of the handle beneath
	handleData    = 24    // offset of the handle beneath, behind the UUID of its file system
)

// Underlying identifies the file that the kernel attaches uprobes to. This is the open file itself or, on an overlay,
// the file beneath, which several overlays can show under different device numbers. mapped is the identifier of the
// file in the maps of a process, or zero if it is unknown.
func Underlying(fd int, st *unix.Stat_t, mapped MapID) Inode {
	inode := Inode{st.Dev, st.Ino}
	beneath, err := handleBeneath(fd)
	switch {
	case errors.Is(err, errNoOverlay):
		return inode
	case errors.Is(err, errStacked):
		return underStack(fd, st, mapped)
	case err != nil && mapped.Inode != 0:
		return Inode{mapped.Device, mapped.Inode} // on kernels without such handles, maps shows the inode beneath
	case err != nil:
		return inode
	}
	if open, found, err := openBeneath(beneath, st); err == nil {
		unix.Close(open)
		return found
	}
	// The file beneath cannot be opened from here, so a hash takes the place of its device number. The handle beneath is
	// the same on all overlays that show the file. If an overlay has made its own copy of the file, the copy keeps the
	// handle; the change time distinguishes it.
	hash := fnv.New64a()
	hash.Write(beneath.identity)
	hash.Write(binary.LittleEndian.AppendUint64(nil, uint64(st.Ctim.Nano())))
	inode.Device = hash.Sum64() | 1<<63 // no device has such a number
	return inode
}

// fileHandle is the file handle of a file beneath an overlay.
type fileHandle struct {
	unix.FileHandle
	identity []byte // the handle, with the UUID of its file system
}

var (
	errNoOverlay = errors.New("not on an overlay")
	errStacked   = errors.New("on an overlay that another overlay is a layer of") // it has no handle of the file beneath
)

// underStack does what Underlying does, for a file on an overlay of which another overlay is a layer.
func underStack(fd int, st *unix.Stat_t, mapped MapID) Inode {
	lower, of, err := openLayer(fd, st)
	if err != nil {
		return Inode{st.Dev, st.Ino}
	}
	defer unix.Close(lower)
	return Underlying(lower, &of, mapped)
}

// openLayer opens the file beneath a file on a stack of overlays, one overlay further down, and returns its status. To
// find the file beneath, it maps the given file: the kernel maps the file beneath instead, so the mapping's link in
// map_files leads there. Using this link needs CAP_CHECKPOINT_RESTORE.
func openLayer(fd int, st *unix.Stat_t) (lower int, of unix.Stat_t, err error) {
	page := os.Getpagesize()
	memory, err := unix.Mmap(fd, 0, page, unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return -1, of, err
	}
	defer func() { _ = unix.Munmap(memory) }()
	start := uintptr(unsafe.Pointer(&memory[0])) //nolint:gosec // the name of the mapping in /proc
	link := fmt.Sprintf("/proc/self/map_files/%x-%x", start, start+uintptr(page))
	if lower, err = Open(link, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY); err != nil {
		return -1, of, err
	}
	if err = unix.Fstat(lower, &of); err == nil && of.Dev == st.Dev {
		err = errStacked
	}
	if err != nil {
		unix.Close(lower)
		return -1, of, err
	}
	return lower, of, nil
}

// handleBeneath returns the handle of the file beneath an open file on an overlay.
func handleBeneath(fd int) (h fileHandle, err error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil || fs.Type != unix.OVERLAYFS_SUPER_MAGIC {
		return h, errNoOverlay
	}
	handle, _, err := unix.NameToHandleAt(fd, "", unix.AT_EMPTY_PATH|atHandleFID)
	if err != nil {
		return h, err
	}
	data := handle.Bytes()
	if handle.Type() != overlayHandle || len(data) <= handleData || data[4] != overlayMagic {
		return h, errStacked
	}
	return fileHandle{unix.NewFileHandle(int32(data[handleType]), data[handleData:]), data[handleFlags:]}, nil
}

// OpenBeneath opens, for reading, the file beneath an open file on an overlay. Writing to the open file changes the
// file beneath. OpenBeneath fails for files that are not on an overlay, and if the file beneath is on a file system
// that cannot be opened from here.
func OpenBeneath(fd int) (int, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, err
	}
	beneath, err := handleBeneath(fd)
	if errors.Is(err, errStacked) {
		lower, _, err := openLayer(fd, &st)
		if err != nil {
			return -1, err
		}
		defer unix.Close(lower)
		return OpenBeneath(lower)
	} else if err != nil {
		return -1, err
	}
	found, _, err := openBeneath(beneath, &st)
	if err != nil {
		return -1, err
	}
	defer unix.Close(found)
	return Open(DescriptorPath(found), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
}

// openBeneath searches the mounted file systems for the file that has this handle, and the size and times in st, which
// the overlay shows. It returns an O_PATH descriptor.
func openBeneath(handle fileHandle, st *unix.Stat_t) (fd int, inode Inode, err error) {
	tried := make(map[uint64]bool)
	err = unix.ESTALE
	_ = eachMount(ownMounts, func(m mount) bool {
		if !tried[m.device] && m.holdsLayers() {
			tried[m.device] = true
			fd, inode, err = m.open(handle, st)
		}
		return err != nil
	})
	return fd, inode, err
}

// open opens a file of the mounted file system by its handle. It fails if size or times of the file differ from those
// in st.
func (m mount) open(handle fileHandle, st *unix.Stat_t) (int, Inode, error) {
	dir, err := Open(m.point, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK)
	if err != nil {
		return -1, Inode{}, err
	}
	defer unix.Close(dir)
	fd, err := unix.OpenByHandleAt(dir, handle.FileHandle, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return -1, Inode{}, err
	}
	var found unix.Stat_t
	err = unix.Fstat(fd, &found)
	// Each btrfs subvolume has a separate device number, which the mount table does not contain.
	isElsewhere := found.Dev != m.device && m.kind != "btrfs"
	if err == nil && (isElsewhere || found.Size != st.Size || found.Ctim != st.Ctim || found.Mtim != st.Mtim) {
		err = unix.ESTALE
	}
	if err != nil {
		unix.Close(fd)
		return -1, Inode{}, err
	}
	return fd, Inode{found.Dev, found.Ino}, nil
}

// holdsLayers reports whether the file system may contain a layer of an overlay, and can be opened without waiting for
// a server.
func (m mount) holdsLayers() bool {
	switch m.kind {
	case "tmpfs", "zfs", "bcachefs":
		return true
	}
	return strings.HasPrefix(m.source, "/dev/") && !m.isFUSE()
}

// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/needs"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes/host"
)

// fuse is a file system with one file, "lib.so", that can be made silent. See <linux/fuse.h> for the numbers.
type fuse struct {
	device *os.File
	data   []byte

	mu     sync.Mutex
	silent []uint32 // operations whose requests get no answer

	stuckReads bool // the first two reads of the file fail, later ones get no answer
	reads      int
	waiting    [][]byte // requests without an answer
}

// Operations of FUSE.
const (
	fuseLookup, fuseGetattr, fuseOpen, fuseRead, fuseOpendir, fuseReaddir = 1, 3, 14, 15, 27, 28
)

// mountFuse mounts a fuse whose file contains data, and returns the path of the file.
func mountFuse(t *testing.T, data []byte) (f *fuse, path string) {
	t.Helper()
	dir := t.TempDir()
	return mountFuseAt(t, dir, data), filepath.Join(dir, "lib.so")
}

// mountFuseAt mounts a fuse at dir. It does not answer requests for the silent operations.
func mountFuseAt(t *testing.T, dir string, data []byte, silent ...uint32) *fuse {
	t.Helper()
	device, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		needs.Missing(t, "%v", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40755,user_id=0,group_id=0", device.Fd())
	if err := unix.Mount("hostile", dir, "fuse", unix.MS_NODEV, options); err != nil {
		device.Close()
		needs.Missing(t, "mount: %v", err)
	}
	f := &fuse{device: device, data: data, silent: silent}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.serve()
	}()
	t.Cleanup(func() {
		f.answer()
		_ = unix.Unmount(dir, unix.MNT_FORCE|unix.MNT_DETACH)
		<-done
		device.Close()
	})
	return f
}

func (f *fuse) serve() {
	buffer := make([]byte, 1<<18)
	for {
		n, err := unix.Read(int(f.device.Fd()), buffer)
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil {
			return // unmounted
		}
		request := append([]byte(nil), buffer[:n]...)
		f.mu.Lock()
		switch operation := binary.NativeEndian.Uint32(request[4:]); {
		case slices.Contains(f.silent, operation):
			f.waiting = append(f.waiting, request)
		case f.stuckReads && operation == fuseRead:
			if f.reads++; f.reads <= 2 { // the kernel holds no lock while it waits for these two
				f.fail(request, unix.EIO)
			} else {
				f.waiting = append(f.waiting, request)
			}
		default:
			f.reply(request)
		}
		f.mu.Unlock()
	}
}

// answer answers all waiting and future requests.
func (f *fuse) answer() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silent, f.stuckReads = nil, false
	for _, request := range f.waiting {
		f.reply(request)
	}
	f.waiting = nil
}

func (f *fuse) reply(request []byte) {
	words := func(words ...uint32) (out []byte) {
		for _, w := range words {
			out = binary.NativeEndian.AppendUint32(out, w)
		}
		return out
	}
	attributes := func(node uint64) []byte {
		mode, size := uint32(unix.S_IFDIR|0o755), uint32(0)
		if node == 2 {
			mode, size = unix.S_IFREG|0o755, uint32(len(f.data))
		}
		// struct fuse_attr: ino, size, blocks, three times, their nanoseconds, mode, nlink, uid, gid, rdev, blksize,
		// flags
		return words(uint32(node), 0, size, 0, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
	}
	node := binary.NativeEndian.Uint64(request[16:])
	status := int32(0)
	var out []byte
	switch binary.NativeEndian.Uint32(request[4:]) {
	case 2, 36, 42: // FORGET, INTERRUPT, BATCH_FORGET: no answer
		return
	case 26: // INIT
		out = append(words(7, 31, 1<<16, 0, 0, 1<<16, 1), make([]byte, 64-7*4)...)
	case fuseLookup:
		if string(request[40:]) != "lib.so\x00" {
			status = -int32(unix.ENOENT)
			break
		}
		out = append(words(2, 0, 0, 0, 1000, 0, 1000, 0, 0, 0), attributes(2)...)
	case fuseGetattr:
		out = append(words(1000, 0, 0, 0), attributes(node)...)
	case fuseOpen, fuseOpendir:
		out = words(0, 0, 0, 0)
	case fuseRead:
		offset := min(binary.NativeEndian.Uint64(request[48:]), uint64(len(f.data)))
		size := uint64(binary.NativeEndian.Uint32(request[56:]))
		out = f.data[offset:min(offset+size, uint64(len(f.data)))]
	case 17: // STATFS
		out = make([]byte, 80)
	case 18, 25, 29: // RELEASE, FLUSH, RELEASEDIR
	default:
		status = -int32(unix.ENOSYS)
	}
	f.send(request, status, out)
}

// fail answers a request with an error.
func (f *fuse) fail(request []byte, err unix.Errno) { f.send(request, -int32(err), nil) }

func (f *fuse) send(request []byte, status int32, out []byte) {
	header := binary.NativeEndian.AppendUint32(nil, uint32(16+len(out)))
	header = binary.NativeEndian.AppendUint32(header, uint32(status))
	header = append(header, request[8:16]...) // number that identifies the request
	_, _ = unix.Write(int(f.device.Fd()), append(header, out...))
}

// TestSilentFileSystem checks that a mapped file is not opened if it is on FUSE, whose server may not answer, and that
// other files of the process are found.
func TestSilentFileSystem(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	data, err := os.ReadFile(sample(t, "sample", dir, "original"))
	if err != nil {
		t.Fatal(err)
	}
	served, hanging := mountFuse(t, data)
	good := sample(t, "sample", dir, "good.so")
	mapper(t, hanging, good)
	served.mu.Lock()
	served.silent = []uint32{fuseOpen}
	served.mu.Unlock()
	w := discover(t, Config{Rules: Rules{Enabled: true}}, dir, filepath.Dir(hanging))
	w.scan(t)
	w.expect(t, "+"+good)
	served.mu.Lock()
	defer served.mu.Unlock()
	if len(served.waiting) != 0 {
		t.Error("the file was opened")
	}
}

// TestLibrariesOnSilentFileSystemsHoldUpNothing checks that libraries of Rules.Libraries and library folders on file
// systems that do not answer are logged, and that everything else is found.
func TestLibrariesOnSilentFileSystemsHoldUpNothing(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	for name, silent := range map[string][]uint32{
		"lookup": {fuseLookup}, "status": {fuseGetattr}, "open folder": {fuseOpendir}, "list folder": {fuseReaddir},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			hanging := filepath.Join(root, "usr/lib64")
			if err := os.MkdirAll(hanging, 0o755); err != nil {
				t.Fatal(err)
			}
			served := mountFuseAt(t, hanging, nil, silent...)
			library := filepath.Join(hanging, "lib.so")
			explicit := sample(t, "sample", root, "opt/explicit.so")
			sample(t, "sample", root, "usr/lib/good.so")
			log, text := logger()
			w := discover(t, Config{
				Rules: Rules{Enabled: true, Libraries: []string{library, explicit}}, Root: root, Log: log,
				Interval: 20 * time.Millisecond,
			}, "/usr")
			scanned := make(chan error, 1)
			go func() { scanned <- w.Scan(context.Background()) }()
			select {
			case err := <-scanned:
				if err != nil {
					t.Fatal(err)
				}
			case <-time.After(soon):
				served.answer() // otherwise the scan would not end
				t.Fatalf("the scan has not ended after %v", soon)
			}
			found := []string{"+" + explicit, "+/usr/lib/good.so"}
			w.expect(t, found...)
			missed := 0
			for line := range strings.Lines(text.String()) {
				if strings.Contains(line, "file="+hanging) || strings.Contains(line, "folder=/usr/lib64") {
					missed++
					if !strings.Contains(line, errSilent.Error()) && !strings.Contains(line, host.ErrFUSE.Error()) {
						t.Errorf("the reason is not given: %s", line)
					}
				}
			}
			if missed == 0 {
				t.Errorf("what was left out is not named: %q", text.String())
			}

			w.run(t)
			sample(t, "sample", root, "usr/lib/later.so")
			w.await(t, soon, append(found, "+/usr/lib/later.so")...)
		})
	}
}

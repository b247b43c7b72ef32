// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"errors"
	"fmt"
	"io/fs"
	"math"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Attachment is a program attached to sites of one file. Its methods must not
// be called at the same time.
type Attachment struct {
	links    []link.Link
	attached int
}

// Attached returns to how many sites the program was attached, even after
// Close.
func (a *Attachment) Attached() int { return a.attached }

// Close detaches the program from all sites. Closing again does nothing. For
// single uprobes the kernel takes its time: about 0.1 s a site on Linux 6.18,
// one after the other even if asked at once, against 0.04 s for a whole link of
// uprobe_multi. A child process between fork and exec keeps the sites attached.
func (a *Attachment) Close() error {
	var failed problems
	for _, l := range a.links {
		if err := l.Close(); err != nil {
			failed.add(err)
		}
	}
	a.links = nil
	if err := errors.Join(failed.all()...); err != nil {
		return fmt.Errorf("detach: %w", err)
	}
	return nil
}

// Attach attaches prog to the sites of the file at path in every process, those
// to come included; cookies[i] is what bpf_get_attach_cookie returns at
// sites[i]. path may be /proc/self/fd/N.
//
// With multi, prog must have been loaded with attach type
// [ebpf.AttachTraceUprobeMulti] (kernel 6.6), without it with none (kernel
// 5.15): the kernel takes neither for the other.
//
// Where only some sites can be attached to, Attach returns both an Attachment
// and an error that names the others, up to 16 of them. Where none can, the
// Attachment is nil.
func Attach(path string, prog *ebpf.Program, multi bool, sites []Site, cookies []uint64) (*Attachment, error) {
	if len(sites) == 0 || len(sites) != len(cookies) {
		return nil, fmt.Errorf("attach to %s: %d sites and %d cookies", path, len(sites), len(cookies))
	}
	executable, err := link.OpenExecutable(path)
	if err != nil {
		return nil, fmt.Errorf("attach to %s: %w", path, err)
	}
	t := attacher{executable: executable, prog: prog, attachment: &Attachment{}}
	// cilium/ebpf takes offset 0 as a request to look a symbol up.
	good := make([]Site, 0, len(sites))
	goodCookies := make([]uint64, 0, len(sites))
	for i, s := range sites {
		if s.Offset == 0 {
			t.fail(s, errors.New("no offset"))
			continue
		}
		good, goodCookies = append(good, s), append(goodCookies, cookies[i]) //nolint:gosec // as long as sites
	}
	switch {
	case len(good) == 0:
	case multi:
		t.multi(good, goodCookies)
	default:
		t.single(good, goodCookies)
	}

	if err = errors.Join(t.failed.all()...); err != nil {
		err = fmt.Errorf("attach to %s: %w", path, err)
	}
	if t.attachment.attached == 0 {
		return nil, err
	}
	return t.attachment, err
}

// attacher is one call of Attach.
type attacher struct {
	executable *link.Executable
	prog       *ebpf.Program
	attachment *Attachment
	failed     problems
}

func (t *attacher) fail(s Site, err error) {
	t.failed.add(fmt.Errorf("%s at offset %#x: %w", s.Probe, s.Offset, err))
}

func (t *attacher) keep(l link.Link, sites int) {
	t.attachment.links = append(t.attachment.links, l)
	t.attachment.attached += sites
}

// multi attaches all sites by one link. The kernel refuses the whole for one
// bad site without saying which, so then each half is tried by itself: that
// finds the bad ones and leaves few links.
func (t *attacher) multi(sites []Site, cookies []uint64) {
	options := link.UprobeMultiOptions{Addresses: make([]uint64, len(sites)), Cookies: cookies}
	for i, s := range sites {
		options.Addresses[i] = s.Offset
		if s.RefCtrOffset != 0 && options.RefCtrOffsets == nil {
			options.RefCtrOffsets = make([]uint64, len(sites))
		}
		if s.RefCtrOffset != 0 {
			options.RefCtrOffsets[i] = s.RefCtrOffset
		}
	}
	l, err := t.executable.UprobeMulti(nil, t.prog, &options)
	switch {
	case err == nil:
		t.keep(l, len(sites))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist), errors.Is(err, link.ErrNotSupported):
		// Not a site's fault: the same for every part.
		t.failed.add(fmt.Errorf("%d sites: %w", len(sites), err))
	case len(sites) == 1:
		t.fail(sites[0], err)
	default:
		half := len(sites) / 2
		t.multi(sites[:half], cookies[:half])
		t.multi(sites[half:], cookies[half:])
	}
}

// single attaches every site by a link, hence two file descriptors, of its own.
func (t *attacher) single(sites []Site, cookies []uint64) {
	for i, s := range sites {
		if s.RefCtrOffset > math.MaxUint32 {
			// The perf event has 32 bits for it, and cilium/ebpf shifts the rest out.
			t.fail(s, fmt.Errorf("semaphore at file offset %#x, beyond 32 bits", s.RefCtrOffset))
			continue
		}
		l, err := t.executable.Uprobe("", t.prog, &link.UprobeOptions{
			Address: s.Offset, Cookie: cookies[i], RefCtrOffset: s.RefCtrOffset,
		})
		if err != nil {
			t.fail(s, err)
			continue
		}
		t.keep(l, 1)
	}
}

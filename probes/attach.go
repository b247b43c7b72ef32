// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"errors"
	"fmt"
	"io/fs"
	"math"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Attachment holds the kernel links that attach a program to sites of one file. It is not safe for concurrent use.
type Attachment struct {
	links    []link.Link
	attached int
}

// Attached returns the number of sites the program was attached to. Close does not change it.
func (a *Attachment) Attached() int { return a.attached }

// Links returns the kernel's links, so that the caller can pin them. The Attachment still owns them.
func (a *Attachment) Links() []link.Link { return a.links }

// Close detaches the program from all sites. It is idempotent. Detaching a single uprobe takes about 0.1 s on Linux
// 6.18, and the kernel detaches one at a time even if several are closed concurrently; detaching a whole uprobe_multi
// link takes about 0.04 s. A child process inherits copies of the links and keeps the sites attached between its fork
// and its exec.
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

// Attach attaches prog to the sites of the file at path in every present and future process. In prog,
// bpf_get_attach_cookie returns cookies[i] for a hit of sites[i]. path may be /proc/self/fd/N.
//
// With multi, Attach uses one uprobe_multi link (Linux 6.6 and later), and prog must have been loaded with attach
// type [ebpf.AttachTraceUprobeMulti]. Without multi it uses a perf event per site (Linux 5.15 and later), and prog
// must have been loaded with attach type [ebpf.AttachNone].
//
// If only some sites can be attached, Attach returns an Attachment for these sites, and an error that names up to 16 of
// the other sites. If no site can be attached, the Attachment is nil. A 32-bit file, or a file for another machine,
// fails with [ErrUnsupported].
func Attach(path string, prog *ebpf.Program, multi bool, sites []Site, cookies []uint64) (*Attachment, error) {
	if len(sites) == 0 || len(sites) != len(cookies) {
		return nil, fmt.Errorf("attach to %s: %d sites and %d cookies", path, len(sites), len(cookies))
	}
	if err := checkNativeFile(path); err != nil {
		return nil, fmt.Errorf("attach to %s: %w", path, err)
	}
	executable, err := link.OpenExecutable(path)
	if err != nil {
		return nil, fmt.Errorf("attach to %s: %w", path, err)
	}
	t := attacher{executable: executable, prog: prog, uprobeMulti: multi, attachment: &Attachment{}}
	// Sites without an offset are rejected here: for address 0, cilium/ebpf would look up a symbol instead.
	good := make([]Site, 0, len(sites))
	goodCookies := make([]uint64, 0, len(sites))
	for i, s := range sites {
		if s.Offset == 0 {
			t.fail(s, errors.New("no offset"))
			continue
		}
		good, goodCookies = append(good, s), append(goodCookies, cookies[i])
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

// attacher holds the state of one call of Attach.
type attacher struct {
	executable  *link.Executable
	prog        *ebpf.Program
	uprobeMulti bool
	attachment  *Attachment
	failed      problems
}

func (t *attacher) fail(s Site, err error) {
	t.failed.add(fmt.Errorf("%s at offset %#x: %w", s.Probe, s.Offset, err))
}

func (t *attacher) add(l link.Link, sites int) {
	t.attachment.links = append(t.attachment.links, l)
	t.attachment.attached += sites
}

// multi attaches all sites with one link. If one site is bad, the kernel rejects the link without naming the site;
// multi then tries each half separately, which finds the bad sites and needs few links.
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
		t.add(l, len(sites))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist), errors.Is(err, link.ErrNotSupported):
		// The error is not caused by one site, so every part of the sites would fail with it.
		t.failed.add(fmt.Errorf("%d sites: %w", len(sites), err))
	case len(sites) == 1:
		t.fail(sites[0], t.explain(sites[0], err))
	default:
		half := len(sites) / 2
		t.multi(sites[:half], cookies[:half])
		t.multi(sites[half:], cookies[half:])
	}
}

// single attaches each site with its own link. Each link uses two file descriptors.
func (t *attacher) single(sites []Site, cookies []uint64) {
	for i, s := range sites {
		if s.RefCtrOffset > math.MaxUint32 {
			// The perf event has 32 bits for the offset, and cilium/ebpf would discard the upper bits.
			t.fail(s, fmt.Errorf("semaphore at file offset %#x, beyond 32 bits", s.RefCtrOffset))
			continue
		}
		l, err := t.executable.Uprobe("", t.prog, &link.UprobeOptions{
			Address: s.Offset, Cookie: cookies[i], RefCtrOffset: s.RefCtrOffset,
		})
		if err != nil {
			t.fail(s, t.explain(s, err))
			continue
		}
		t.add(l, 1)
	}
}

// errOtherTracer is returned for a site to which another tracer has attached without incrementing its semaphore. The
// kernel requires that all uprobes at one offset of a file name the same semaphore.
var errOtherTracer = errors.New("another tracer is attached to the site and does not count in its semaphore")

// explain returns the cause of an error when attaching to a site. The kernel returns EINVAL for several causes. explain
// detects one of them by attaching again without the semaphore: if this succeeds, another tracer has attached
// without the semaphore.
func (t *attacher) explain(s Site, err error) error {
	if s.RefCtrOffset == 0 || !errors.Is(err, unix.EINVAL) {
		return err
	}
	var l link.Link
	var without error
	if t.uprobeMulti {
		l, without = t.executable.UprobeMulti(nil, t.prog, &link.UprobeMultiOptions{Addresses: []uint64{s.Offset}})
	} else {
		l, without = t.executable.Uprobe("", t.prog, &link.UprobeOptions{Address: s.Offset})
	}
	if without != nil {
		return err
	}
	return errors.Join(fmt.Errorf("%w: %w", errOtherTracer, unix.EINVAL), l.Close())
}

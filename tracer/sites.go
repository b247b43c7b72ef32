// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/crau-otel/crau-otel/bpf"
	"github.com/crau-otel/crau-otel/probes"
)

// ErrTooManySites is returned by Add when every entry of the program's site table is in use.
var ErrTooManySites = errors.New("no room for another probe site")

// Place returns the sites, each moved to the nop at which the running kernel handles a hit fastest. Pass the result to
// Add and to probes.Attach. The first call with a site that has several nops calls TryNops.
func (t *Tracer) Place(sites []probes.Site) []probes.Site {
	if !slices.ContainsFunc(sites, probes.Site.HasFastNops) {
		return sites
	}
	t.TryNops()
	return t.nops.Place(sites)
}

// TryNops determines how the kernel treats nops at which a probe is attached, for Place. The first call loads and
// attaches a program, which takes about 0.1 s; later calls do nothing. If the attempt fails, Place moves no site.
func (t *Tracer) TryNops() {
	t.nopsTried.Do(func() {
		var err error
		if t.nops, err = probes.TryNops(t.multi); err != nil {
			t.cfg.Log.Warn("cannot find out how the kernel treats nops; hits may cost more than necessary", "error", err)
		}
	})
}

// Add registers a probe site and returns the cookie to attach it with. file becomes the file number of the site's
// events, and is the upper half of the cookie. After Remove, the site's entry may be reused for a site of another file
// while the kernel still detaches this site. Hits of this site then count as malformed, and are not attributed to the
// other file.
func (t *Tracer) Add(site probes.Site, file uint32) (cookie uint64, err error) {
	spec := specification(site, file)
	t.mu.Lock()
	defer t.mu.Unlock()
	var index uint32
	switch {
	case len(t.free) > 0:
		index = t.free[len(t.free)-1]
	case t.next < t.maxSites:
		index = t.next
	default:
		return 0, fmt.Errorf("%w: the limit is %d", ErrTooManySites, t.maxSites)
	}
	t.strings.use(index, &spec)
	if err := t.objs.Sites.Put(index, spec); err != nil {
		t.strings.leave(index)
		return 0, fmt.Errorf("store probe site: %w", err)
	}
	if index == t.next {
		t.next++
	} else {
		t.free = t.free[:len(t.free)-1]
	}
	return uint64(file)<<32 | uint64(index), nil
}

// Remove unregisters the sites with these cookies. Hits from sites that are not fully detached yet are counted as
// malformed.
func (t *Tracer) Remove(cookies ...uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for _, cookie := range cookies {
		index := uint32(cookie)
		if err := t.objs.Sites.Put(index, bpf.AuditCrauSpec{}); err != nil {
			errs = append(errs, fmt.Errorf("forget probe site: %w", err))
			continue
		}
		t.strings.leave(index)
		t.free = append(t.free, index)
	}
	return errors.Join(errs...)
}

// specification describes a site in the form that the program reads.
func specification(site probes.Site, file uint32) bpf.AuditCrauSpec {
	s := bpf.AuditCrauSpec{Address: site.Address, File: file, Kind: uint8(site.Probe)}
	for i, op := range site.Args {
		s.Args[i] = bpf.AuditCrauOperand{
			Value: op.Value,
			Kind:  uint8(op.Kind),
			Base:  op.Base,
			Index: op.Index,
			Scale: uint8(bits.TrailingZeros8(max(op.Scale, 1))),
			Size:  op.Size,
			Shift: op.Shift,
		}
		if op.Signed {
			s.Args[i].IsSigned = 1
		}
		if op.Kind == probes.Register && op.Size == 8 && op.Shift == 0 && op.Value == 0 {
			s.Args[i].Kind = uint8(bpf.AuditCrauOperandKindCRAU_WHOLE_REGISTER)
		}
	}
	s.IsShort = isShort(&s)
	return s
}

// isShort returns 1 if hits of a site can be short records.
func isShort(s *bpf.AuditCrauSpec) uint8 {
	if s.Kind != uint8(bpf.AuditCrauKindCRAU_WORD_DATA) && s.Kind != uint8(bpf.AuditCrauKindCRAU_STRING_DATA) {
		return 0
	}
	for _, arg := range s.Args[:3] {
		if k := bpf.AuditCrauOperandKind(arg.Kind); k != bpf.AuditCrauOperandKindCRAU_CONST && k != bpf.AuditCrauOperandKindCRAU_WHOLE_REGISTER {
			return 0
		}
	}
	return 1
}

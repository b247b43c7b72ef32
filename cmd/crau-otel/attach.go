// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math/bits"

	"github.com/crau-otel/crau-otel/bpf"
	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/tracer"
)

// attachments holds what is attached to the probe sites of files.
type attachments struct {
	tracer *tracer.Tracer
	log    *slog.Logger
	open   []*probes.Attachment
	files  int // with at least one site attached
	sites  int // attached
}

// add attaches every site of the file at path. What fails is logged with its name and left out.
func (a *attachments) add(path string) {
	file, err := probes.Open(path)
	if err != nil {
		a.log.Warn("no probes attached", "file", path, "error", err)
		return
	}
	for _, problem := range file.Problems {
		a.log.Warn("probe site skipped", "file", path, "error", problem)
	}
	var sites []probes.Site
	var cookies []uint64
	for _, site := range file.Sites {
		cookie, err := a.tracer.Add(spec(site, uint32(len(a.open))))
		if err != nil {
			a.log.Warn("probe site skipped", "file", path, "probe", site.Probe, "offset", site.Offset, "error", err)
			continue
		}
		sites, cookies = append(sites, site), append(cookies, cookie)
	}
	attachment, err := probes.Attach(path, a.tracer.Program(), a.tracer.Multi(), sites, cookies)
	if err != nil {
		a.log.Warn("not every probe attached", "file", path, "error", err)
	}
	if attachment == nil {
		if err := a.tracer.Remove(cookies...); err != nil {
			a.log.Warn("cannot release probe sites", "file", path, "error", err)
		}
		return
	}
	a.open = append(a.open, attachment)
	a.files++
	a.sites += attachment.Attached()
	a.log.Debug("attached", "file", path, "sites", attachment.Attached(), "build_id", file.BuildID)
}

// Close detaches everything.
func (a *attachments) Close() error {
	var errs []error
	for _, attachment := range a.open {
		errs = append(errs, attachment.Close())
	}
	a.open = nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("detach probes: %w", err)
	}
	return nil
}

// spec says in the kernel's terms what a site tells and where its arguments are.
func spec(site probes.Site, file uint32) bpf.AuditCrauSpec {
	s := bpf.AuditCrauSpec{File: file, Kind: uint8(site.Probe), Nargs: uint8(len(site.Args))}
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
	}
	return s
}

// SPDX-License-Identifier: Apache-2.0

// Package spec says in the kernel program's terms what a probe site tells and where its arguments are. It is apart from
// probes, which knows ELF files and not the program, and from the tracer, which is given specifications.
package spec

import (
	"math/bits"

	"github.com/crau-otel/crau-otel/bpf"
	"github.com/crau-otel/crau-otel/probes"
)

// Of returns the specification of a site; file is the number by which its events name the file.
func Of(site probes.Site, file uint32) bpf.AuditCrauSpec {
	s := bpf.AuditCrauSpec{Address: site.Address, File: file, Kind: uint8(site.Probe), Nargs: uint8(len(site.Args))}
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

// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"testing"

	"github.com/crau-otel/crau-otel/bpf"
	"github.com/crau-otel/crau-otel/probes"
)

// Only a register of 8 bytes without shift and displacement counts as a whole register, for which the program skips
// these steps.
func TestWholeRegistersAreToldApart(t *testing.T) {
	whole := probes.Operand{Kind: probes.Register, Size: 8, Base: 3, Scale: 1, Index: probes.NoRegister}
	signed, half, shifted, displaced, memory := whole, whole, whole, whole, whole
	signed.Signed = true
	half.Size = 4
	shifted.Shift = 8
	displaced.Value = 1
	memory.Kind = probes.Memory
	for name, c := range map[string]struct {
		operand probes.Operand
		want    bpf.AuditCrauOperandKind
	}{
		"whole":     {whole, bpf.AuditCrauOperandKindCRAU_WHOLE_REGISTER},
		"signed":    {signed, bpf.AuditCrauOperandKindCRAU_WHOLE_REGISTER},
		"half":      {half, bpf.AuditCrauOperandKindCRAU_REGISTER},
		"shifted":   {shifted, bpf.AuditCrauOperandKindCRAU_REGISTER},
		"displaced": {displaced, bpf.AuditCrauOperandKindCRAU_REGISTER},
		"memory":    {memory, bpf.AuditCrauOperandKindCRAU_MEMORY},
	} {
		spec := specification(probes.Site{Args: []probes.Operand{c.operand}}, 1)
		if got := bpf.AuditCrauOperandKind(spec.Args[0].Kind); got != c.want {
			t.Errorf("%s: kind %d, want %d", name, got, c.want)
		}
		if spec.Args[1] != (bpf.AuditCrauOperand{}) {
			t.Errorf("%s: an argument that the probe does not have is %+v, want the constant 0", name, spec.Args[1])
		}
	}
}

// Hits of a word or string whose arguments are constants or whole registers can be short records.
func TestShortSitesAreToldApart(t *testing.T) {
	whole := probes.Operand{Kind: probes.Register, Size: 8, Base: 3, Scale: 1, Index: probes.NoRegister}
	constant := probes.Operand{Kind: probes.Const, Value: 7}
	half := whole
	half.Size = 4
	for name, c := range map[string]struct {
		probe probes.Probe
		args  []probes.Operand
		want  uint8
	}{
		"word":             {probes.WordData, []probes.Operand{whole, constant, whole}, 1},
		"string":           {probes.StringData, []probes.Operand{whole, whole, constant}, 1},
		"half a register":  {probes.WordData, []probes.Operand{whole, constant, half}, 0},
		"half the context": {probes.StringData, []probes.Operand{half, constant, whole}, 0},
		"blob":             {probes.BlobData, []probes.Operand{whole, whole, whole, whole}, 0},
		"array":            {probes.Data, []probes.Operand{whole, whole, constant}, 0},
		"context":          {probes.NewContext, []probes.Operand{whole, whole}, 0},
	} {
		if got := specification(probes.Site{Probe: c.probe, Args: c.args}, 1).IsShort; got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

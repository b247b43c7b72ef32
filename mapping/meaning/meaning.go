// SPDX-License-Identifier: Apache-2.0

package meaning

import (
	"slices"
	"time"
	"unsafe"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/crau-otel/crau-otel/mapping/registry"
)

// Meaning is the interpretation of a shape. It is read-only.
type Meaning struct {
	Spans      []Span
	Attributes []attribute.KeyValue // of all spans, one after the other
	Operations []Operation          // without durations
	// Downgraded and Weak report whether any span has the attribute of that name, Failed whether any span has an error
	// status, and Violates whether any span violates the policy.
	Downgraded, Weak, Failed, Violates bool
	// Reserved is the number of pairs whose attributes have reserved names: see [schema.ReservedAttribute].
	Reserved int
	// Carry holds, for each context of the shape that stays open, what the next part's shape has to carry; nil if all
	// contexts end.
	Carry []any
	// Template is not 0 if the meaning is remembered. It is then the number of the first span; the following spans have
	// the following numbers. For one interpreter, equal numbers stand for equal spans, apart from ids, times and the
	// context's id.
	Template uint64
}

// Span is a span without its ids, its times and the value of one attribute.
type Span struct {
	Name          string
	Kind          trace.SpanKind
	Status        sdktrace.Status
	Dropped       int // pairs over the limit
	Context       int // index in the shape
	Parent        int // index in the shape of the nearest context above that becomes a span, -1 if there is none
	AttributesEnd int // in Meaning.Attributes; they start where those of the previous span end
	ContextID     int // index of the attribute for the context's id, whose value is empty here
	Operation     int // index in Meaning.Operations, -1 if it has none
}

// Operation is one use of cryptography, for counting. A span that is no operation but violates the policy also has one,
// without a name. Each field except Executable and Violations has a bounded number of values, whatever programs report.
type Operation struct {
	Executable string
	Name       string // name of the span, such as pk::sign
	Algorithm  string // registered name of the group, scheme or algorithm; or "other", "unknown"; "" if not reported
	Role       string // of the handshake it belongs to: client, server or ""
	Status     registry.Status
	Library    FileTrust
	Violations []string // names of the violated rules of the policy

	// Handshake is set for handshakes. They have no algorithm, and Status is that of their key exchange. The fields below
	// are only set for handshakes.
	Handshake       bool
	Duration        time.Duration
	ProtocolName    string // ssl, tls, dtls or ssh; "" if not reported or unknown
	ProtocolVersion string // such as 1.3; "unknown"; "" if not reported
	Downgraded      bool   // a safer key exchange was offered
}

// clone returns a copy that shares only immutable data.
func (m *Meaning) clone() Meaning {
	c := *m
	c.Spans, c.Attributes = slices.Clone(m.Spans), slices.Clone(m.Attributes)
	c.Operations, c.Carry = slices.Clone(m.Operations), slices.Clone(m.Carry)
	return c
}

// size returns approximately how much memory the meaning takes, in bytes.
func (m *Meaning) size() int {
	return len(m.Spans)*int(unsafe.Sizeof(Span{})) + len(m.Attributes)*int(unsafe.Sizeof(attribute.KeyValue{})) +
		len(m.Operations)*int(unsafe.Sizeof(Operation{})) + len(m.Carry)*int(unsafe.Sizeof(carry{}))
}

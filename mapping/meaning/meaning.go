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

// Meaning is what a shape amounts to. It is read only.
type Meaning struct {
	Spans      []Span
	Attributes []attribute.KeyValue // of all spans, one after the other
	Operations []Operation          // without durations
	// Downgraded and Weak report whether any span says so, Failed whether the status of any is an error, and Violates
	// whether any violates the policy.
	Downgraded, Weak, Failed, Violates bool
	// Reserved is how many pairs have attributes with reserved names: see [schema.ReservedAttribute].
	Reserved int
	// Carry has, for each context of the shape that stays open, what the next part's shape is to carry; nil if all end.
	Carry []any
	// Template is not 0 if the meaning is remembered: it is the number of the first span, the next ones follow. Equal
	// numbers of one interpreter stand for equal spans, ids, times and the context's id excepted.
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
	ContextID     int // which of its attributes is the context's id, whose value is left empty
	Operation     int // index in Meaning.Operations, -1 if it has none
}

// Operation is one use of cryptography, for counting, or a span that is none and violates the policy: it has no name.
// Each field but Executable and Violations has one of a bounded number of values, whatever a program reports.
type Operation struct {
	Executable string
	Name       string // the span's: pk::sign
	Algorithm  string // registered name of the group, scheme or algorithm; "other", "unknown"; "" if not reported
	Role       string // of the handshake it belongs to: client, server or ""
	Status     registry.Status
	Library    FileTrust
	Violations []string // names of the rules of the policy that it violates

	// Handshake is set for handshakes, which have no algorithm. Status is that of their key exchange. The fields below
	// are only set for handshakes.
	Handshake       bool
	Duration        time.Duration
	ProtocolName    string // ssl, tls, dtls or ssh; "" if not reported or unknown
	ProtocolVersion string // 1.3 and the like, "unknown", or "" if not reported
	Downgraded      bool   // a safer key exchange was offered
}

// clone returns a copy that shares only immutable data.
func (m *Meaning) clone() Meaning {
	c := *m
	c.Spans, c.Attributes = slices.Clone(m.Spans), slices.Clone(m.Attributes)
	c.Operations, c.Carry = slices.Clone(m.Operations), slices.Clone(m.Carry)
	return c
}

// size returns about how much memory the meaning takes, in bytes.
func (m *Meaning) size() int {
	return len(m.Spans)*int(unsafe.Sizeof(Span{})) + len(m.Attributes)*int(unsafe.Sizeof(attribute.KeyValue{})) +
		len(m.Operations)*int(unsafe.Sizeof(Operation{})) + len(m.Carry)*int(unsafe.Sizeof(carry{}))
}

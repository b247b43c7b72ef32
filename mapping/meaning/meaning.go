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
	Attributes []attribute.KeyValue // attributes of all spans, in the order of Spans
	Operations []Operation          // Duration is not set
	// Downgraded and Weak report whether any span has crypto.pqc.downgraded or crypto.weak, Failed whether any span has
	// an error status, and Violates whether any span violates the policy.
	Downgraded, Weak, Failed, Violates bool
	// Reserved is the number of pairs that became attributes starting with crypto.emitted.: see
	// [schema.ReservedAttribute].
	Reserved int
	// Carry has an element for each context of the shape; nil if no context stays open. For a context that stays open,
	// the caller must copy the element to [shape.Trait.Carry] in the shape of the tree's next part.
	Carry []any
	// Template numbers the spans of a cached meaning, so that callers can cache what they derive from a span: Spans[i] has
	// the number Template+i. Spans of one interpreter with equal numbers are equal except for their ids, their times and
	// crypto.context.id. Template is 0 if the meaning is not cached.
	Template uint64
}

// Span is a span without its ids, its times and the value of crypto.context.id.
type Span struct {
	Name          string
	Kind          trace.SpanKind
	Status        sdktrace.Status
	Dropped       int // number of pairs that were dropped because the span had too many
	Context       int // index of the span's context in Shape.Traits
	Parent        int // index in Shape.Traits of the nearest context above that becomes a span, -1 if there is none
	AttributesEnd int // end of the span's attributes in Meaning.Attributes; they start at the previous span's end
	ContextID     int // index of crypto.context.id among the span's attributes; the value is empty here
	Operation     int // index in Meaning.Operations, -1 if the span has no operation
}

// Operation is one use of cryptography, for metrics. A span that violates the policy but is not an operation also has
// an Operation, without a name. Each field except Executable and Violations has a bounded number of values, whatever
// programs report.
type Operation struct {
	Executable string
	Name       string // name of the span, such as pk::sign
	Algorithm  string // registered name of the group, scheme or algorithm; or "other", "unknown"; "" if not reported
	Role       string // program's role in the handshake that contains the operation: client, server or ""
	Status     registry.Status
	Library    FileTrust
	Violations []string // names of the violated rules of the policy

	// Handshake is set for handshakes. A handshake has no Algorithm, and its Status is the one of its key exchange. The
	// fields below are only set for handshakes.
	Handshake       bool
	Duration        time.Duration
	ProtocolName    string // ssl, tls, dtls or ssh; "" if not reported or unknown
	ProtocolVersion string // such as 1.3; "unknown" for an unregistered version; "" if not reported
	Downgraded      bool   // the key exchange is classical although the client offered a safer one
}

// clone returns a copy that shares only immutable data.
func (m *Meaning) clone() Meaning {
	c := *m
	c.Spans, c.Attributes = slices.Clone(m.Spans), slices.Clone(m.Attributes)
	c.Operations, c.Carry = slices.Clone(m.Operations), slices.Clone(m.Carry)
	return c
}

// size returns the approximate memory use of the meaning in bytes.
func (m *Meaning) size() int {
	return len(m.Spans)*int(unsafe.Sizeof(Span{})) + len(m.Attributes)*int(unsafe.Sizeof(attribute.KeyValue{})) +
		len(m.Operations)*int(unsafe.Sizeof(Operation{})) + len(m.Carry)*int(unsafe.Sizeof(carry{}))
}

// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/crau-otel/crau-otel/mapping/contexts"
	"github.com/crau-otel/crau-otel/mapping/meaning"
	"github.com/crau-otel/crau-otel/mapping/shape"
)

// Operation is one use of cryptography, for counting.
type Operation = meaning.Operation

// FileTrust is whether only root can write the file that reported an operation.
type FileTrust = meaning.FileTrust

// Owner is whose share of the limits a process counts against.
type Owner = contexts.Owner

// OwnerClass is what kind of user an owner is.
type OwnerClass = contexts.OwnerClass

// ClassCounts counts something by the class of the owner whose it is.
type ClassCounts = contexts.ClassCounts

// Link names a span of another trace.
type Link = contexts.Link

// Tree is a finished tree: a trace, or the part of a trace that is finished. Its Spans and Operations are valid during
// the call of Config.Sink only; [Tree.Clone] returns a copy that can be kept.
type Tree struct {
	// Resource describes the observed program. It is the same for every span of the tree.
	Resource *sdkresource.Resource
	// Scope is the instrumentation scope of every span.
	Scope instrumentation.Scope
	// Owner is whose share of limits the tree counts against.
	Owner Owner
	// Trust is whether what the process reports about itself can be believed.
	Trust shape.ProcessTrust
	// Spans has parents before their children, and the root first. If Config.Whole says so, the root is the only one.
	Spans []Span
	// Events is the number of probe hits that the tree was made from.
	Events int
	// Operations are the uses of cryptography among the spans.
	Operations []Operation
	// Downgraded and Weak report whether any span has the attribute of that name, Failed whether the status of any is an
	// error, and Violates whether any violates the policy. Spans that Config.Whole left out count.
	Downgraded, Weak, Failed, Violates bool
}

// Clone returns a copy that does not share memory with t.
func (t Tree) Clone() Tree {
	t.Spans, t.Operations = slices.Clone(t.Spans), slices.Clone(t.Operations)
	for i := range t.Spans {
		s := &t.Spans[i]
		s.SetAttributes(slices.Clone(s.Attributes()))
	}
	return t
}

// Span is a finished span. The zero value of a field means what it means in OTLP.
type Span struct {
	Name              string
	Kind              trace.SpanKind
	TraceID           trace.TraceID
	SpanID            trace.SpanID
	ParentID          trace.SpanID // zero: the span has no parent
	Start, End        time.Time
	Status            sdktrace.Status
	DroppedAttributes int // attributes over the limit
	// Link is the root of another trace that may be the same handshake. Only roots have one; IsValid says whether.
	Link Link

	attributes []attribute.KeyValue
	shared     bool   // attributes belong to the pattern: their element contextAt has no value yet
	pattern    uint64 // see Pattern
	contextAt  int    // index of the context's id in attributes
	contextID  string
}

// Attributes returns the span's attributes, which the caller must not change.
func (s *Span) Attributes() []attribute.KeyValue {
	if s.shared {
		// Most spans of a known pattern are exported without this copy.
		s.attributes, s.shared = slices.Clone(s.attributes), false
		s.attributes[s.contextAt].Value = attribute.StringValue(s.contextID)
	}
	return s.attributes
}

// Fingerprint returns a hash of what the span says: its name, kind, status and attributes, but not the context's id.
// Fingerprints with different seeds cannot be compared.
func (s *Span) Fingerprint(seed maphash.Seed) uint64 {
	sum := maphash.Comparable(seed, s.Name) ^ maphash.Comparable(seed, s.Status)
	for i := range s.attributes {
		if i != s.contextAt {
			sum = bits.RotateLeft64(sum, 5) ^ maphash.Comparable(seed, s.attributes[i])
		}
	}
	return bits.RotateLeft64(sum, 5) ^ uint64(s.Kind)
}

// SetAttributes replaces the span's attributes. The span no longer has a pattern.
func (s *Span) SetAttributes(attributes []attribute.KeyValue) {
	s.attributes, s.shared, s.pattern = attributes, false, 0
}

// Pattern returns a number that identifies spans which are equal except for ids, times, resource and the value of one
// string attribute, the index of this attribute, and its value, which has the same length in all of them. A mapper
// never uses a number twice. 0 means that the span has no pattern. Trees whose roots have the same pattern have the same
// operations, apart from durations.
func (s *Span) Pattern() (number uint64, attribute int, value string) {
	return s.pattern, s.contextAt, s.contextID
}

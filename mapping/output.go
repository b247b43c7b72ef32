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

// Operation is one use of cryptography, as metrics count it.
type Operation = meaning.Operation

// FileTrust says whether only root can write the file that reported an operation.
type FileTrust = meaning.FileTrust

// Owner is what a process counts against when limits are shared.
type Owner = contexts.Owner

// OwnerClass is the kind of an owner.
type OwnerClass = contexts.OwnerClass

// ClassCounts counts something by the class of its owner.
type ClassCounts = contexts.ClassCounts

// Link names the root span of another trace that may be the same handshake.
type Link = contexts.Link

// Tree is a finished tree, which is a trace, or the part of a tree that was shed. Its Spans and Operations are only
// valid during the call of Config.Sink; [Tree.Clone] returns a copy that lasts.
type Tree struct {
	// Resource describes the observed program. It is the same for every span of the tree.
	Resource *sdkresource.Resource
	// Scope is the instrumentation scope of every span.
	Scope instrumentation.Scope
	// Owner is the owner that the tree counts against.
	Owner Owner
	// Trust says whether the process's own reports can be believed.
	Trust shape.ProcessTrust
	// Spans has the root first, and parents before their children. It contains only the root if Config.Whole returned
	// false.
	Spans []Span
	// Events is the number of probe hits of the tree, without those of parts that were passed to the sink before.
	Events int
	// Operations has the operations of all spans, even if Spans contains only the root.
	Operations []Operation
	// Downgraded and Weak report whether any span has the attribute of that name, Failed whether any span has an error
	// status, and Violates whether any span violates the policy. They cover all spans, even if Spans contains only the
	// root.
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

// Span is a finished span. Zero values of its fields have the same meaning as in OTLP.
type Span struct {
	Name              string
	Kind              trace.SpanKind
	TraceID           trace.TraceID
	SpanID            trace.SpanID
	ParentID          trace.SpanID // zero: the span has no parent
	Start, End        time.Time
	Status            sdktrace.Status
	DroppedAttributes int // number of attributes that were dropped over the limit
	// Link is the root of another trace that may be the same handshake. Only roots have links. Link.IsValid reports
	// whether there is one.
	Link Link

	attributes []attribute.KeyValue
	shared     bool   // other spans use the same attributes slice, whose element contextAt has no value yet
	pattern    uint64 // number that Pattern returns
	contextAt  int    // index of the context's id in attributes
	contextID  string
}

// Attributes returns the span's attributes, which the caller must not change.
func (s *Span) Attributes() []attribute.KeyValue {
	if s.shared {
		// The copy is made as late as here, because most spans with a pattern are exported without calling Attributes.
		s.attributes, s.shared = slices.Clone(s.attributes), false
		s.attributes[s.contextAt].Value = attribute.StringValue(s.contextID)
	}
	return s.attributes
}

// Fingerprint returns a hash of the span's name, kind, status and attributes, except the attribute with the context's
// id. Fingerprints with different seeds cannot be compared.
func (s *Span) Fingerprint(seed maphash.Seed) uint64 {
	sum := maphash.Comparable(seed, s.Name) ^ maphash.Comparable(seed, s.Status)
	for i := range s.attributes {
		if i != s.contextAt {
			sum = bits.RotateLeft64(sum, 5) ^ maphash.Comparable(seed, s.attributes[i])
		}
	}
	return bits.RotateLeft64(sum, 5) ^ uint64(s.Kind)
}

// SetAttributes replaces the span's attributes. The span has no pattern afterwards.
func (s *Span) SetAttributes(attributes []attribute.KeyValue) {
	s.attributes, s.shared, s.pattern = attributes, false, 0
}

// Pattern returns a number that is the same for spans that differ only in ids, times, resource, and the value of one
// string attribute. It also returns the index of that attribute and its value, which has the same length in all of
// these spans. Number 0 means that the span has no pattern; a mapper never reuses other numbers. Trees whose roots have
// the same pattern have the same operations, apart from durations.
func (s *Span) Pattern() (number uint64, attribute int, value string) {
	return s.pattern, s.contextAt, s.contextID
}

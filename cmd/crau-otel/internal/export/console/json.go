// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
)

// record is a span in JSON. Fields that OTLP has, too, have the same name as in OTLP.
type record struct {
	TraceID      string         `json:"trace_id"`
	SpanID       string         `json:"span_id"`
	ParentSpanID string         `json:"parent_span_id"` // empty without a parent
	Name         string         `json:"name"`
	Kind         string         `json:"kind"`
	Start        time.Time      `json:"start"` // RFC 3339 with nanoseconds, UTC
	End          time.Time      `json:"end"`
	DurationNS   int64          `json:"duration_ns"`
	Status       status         `json:"status"`
	Attributes   map[string]any `json:"attributes"` // sorted by key when encoded
	Resource     map[string]any `json:"resource"`
	Links        []link         `json:"links,omitempty"`
}

type link struct {
	TraceID string `json:"trace_id"`
	SpanID  string `json:"span_id"`
}

type status struct {
	Code    string `json:"code"` // unset, ok or error
	Message string `json:"message,omitempty"`
}

// renderJSON returns the spans of a tree, one JSON object per line, parents before their children.
func renderJSON(root *node) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	var err error
	root.walk(func(n *node, _ []bool) {
		if err == nil {
			err = encoder.Encode(newRecord(n))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("encode span: %w", err)
	}
	return []byte(Escape(b.String())), nil
}

func newRecord(n *node) record {
	span := n.span
	r := record{
		TraceID:    span.TraceID.String(),
		SpanID:     span.SpanID.String(),
		Name:       span.Name,
		Kind:       span.Kind.String(),
		Start:      span.Start.UTC(),
		End:        span.End.UTC(),
		DurationNS: span.End.Sub(span.Start).Nanoseconds(),
		Status:     status{strings.ToLower(span.Status.Code.String()), span.Status.Description},
		Attributes: object(span.Attributes()),
		Resource:   object(n.resource.Attributes()),
	}
	if parent := span.ParentID; parent.IsValid() {
		r.ParentSpanID = parent.String()
	}
	if l := span.Link; l.IsValid() {
		r.Links = []link{{l.TraceID.String(), l.SpanID.String()}}
	}
	return r
}

func object(attributes []attribute.KeyValue) map[string]any {
	o := make(map[string]any, len(attributes))
	for _, a := range attributes {
		o[string(a.Key)] = native(a.Value)
	}
	return o
}

// native converts v to a value that encoding/json writes as the matching JSON type; bytes become Base64.
func native(v attribute.Value) any {
	switch v.Type() {
	case attribute.FLOAT64:
		return number(v.AsFloat64())
	case attribute.FLOAT64SLICE:
		return list(v.AsFloat64Slice(), number)
	case attribute.SLICE:
		return list(v.AsSlice(), native)
	case attribute.MAP:
		return object(v.AsMap())
	default:
		return v.AsInterface()
	}
}

func list[T any](elements []T, convert func(T) any) []any {
	l := make([]any, len(elements))
	for i, e := range elements {
		l[i] = convert(e)
	}
	return l
}

// number returns f, or its name if JSON has no such number.
func number(f float64) any {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	default:
		return f
	}
}

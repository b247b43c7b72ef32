// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// Span is a span as a user receives it, from an OTLP receiver or in the JSON of the console exporter.
type Span struct {
	Trace      string         `json:"trace_id"`
	ID         string         `json:"span_id"`
	Parent     string         `json:"parent_span_id"`
	Name       string         `json:"name"`
	Kind       string         `json:"kind"`
	Start      time.Time      `json:"start"`
	End        time.Time      `json:"end"`
	Attributes map[string]any `json:"attributes"`
	Resource   map[string]any `json:"resource"`

	// Repeated lists the keys that occur more than once in the attributes of the span or of its resource, which OTLP
	// forbids. It is only set for spans from a Receiver.
	Repeated []string `json:"-"`
	// Children are the span's child spans. They are set by Trees.
	Children []*Span `json:"-"`
}

// ParseConsole parses the JSON that the console exporter prints.
func ParseConsole(out []byte) ([]*Span, error) {
	var spans []*Span
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		span := &Span{}
		dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		dec.UseNumber()
		if err := dec.Decode(span); err != nil {
			return nil, fmt.Errorf("parse console output: %w\n%s", err, lines.Text())
		}
		spans = append(spans, span)
	}
	return spans, lines.Err()
}

// ParseOTLP parses OTLP's JSON, as returned by Jaeger's API. OTLP's JSON has ids in hexadecimal, but the parser decodes
// them as base64. So the ids of these spans can only be compared with each other.
func ParseOTLP(text []byte) ([]*Span, error) {
	var data trace.TracesData
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, &data); err != nil {
		return nil, fmt.Errorf("parse OTLP: %w", err)
	}
	return parseSpans(data.ResourceSpans), nil
}

func parseSpans(all []*trace.ResourceSpans) (spans []*Span) {
	for _, rs := range all {
		resource, repeatedByResource := parseAttributes(rs.Resource.GetAttributes())
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				attributes, repeated := parseAttributes(s.Attributes)
				spans = append(spans, &Span{
					Trace:      hex.EncodeToString(s.TraceId),
					ID:         hex.EncodeToString(s.SpanId),
					Parent:     hex.EncodeToString(s.ParentSpanId),
					Name:       s.Name,
					Kind:       strings.ToLower(strings.TrimPrefix(s.Kind.String(), "SPAN_KIND_")),
					Start:      time.Unix(0, int64(s.StartTimeUnixNano)),
					End:        time.Unix(0, int64(s.EndTimeUnixNano)),
					Attributes: attributes,
					Resource:   resource,
					Repeated:   append(repeated, repeatedByResource...),
				})
			}
		}
	}
	return spans
}

// parseAttributes returns attributes by key, and the keys that occur more than once.
func parseAttributes(kvs []*common.KeyValue) (attributes map[string]any, repeated []string) {
	attributes = make(map[string]any, len(kvs))
	for _, kv := range kvs {
		if _, ok := attributes[kv.Key]; ok {
			repeated = append(repeated, kv.Key)
		}
		attributes[kv.Key] = parseValue(kv.Value)
	}
	return attributes, repeated
}

func parseValue(v *common.AnyValue) any {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_BoolValue:
		return v.BoolValue
	case *common.AnyValue_IntValue:
		return v.IntValue
	case *common.AnyValue_ArrayValue:
		values := make([]any, len(v.ArrayValue.Values))
		for i, e := range v.ArrayValue.Values {
			values[i] = parseValue(e)
		}
		return values
	default:
		return fmt.Sprint(v)
	}
}

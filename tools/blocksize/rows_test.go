// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/parquet-go/parquet-go"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

func text(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

// The spans of a trace may arrive in any order. They become one row in the file, with each span's place in the tree.
func TestATraceIsOneRowWhateverTheOrder(t *testing.T) {
	t.Parallel()
	received := func(id byte, spans ...*tracepb.Span) *tracepb.ResourceSpans {
		for _, s := range spans {
			s.TraceId = []byte{id}
		}
		return &tracepb.ResourceSpans{
			Resource:   &resourcepb.Resource{Attributes: []*commonpb.KeyValue{text("service.name", "shop"), text("host.name", "h")}},
			ScopeSpans: []*tracepb.ScopeSpans{{Spans: spans}},
		}
	}
	r := make(rows)
	n := r.add(received(2, &tracepb.Span{SpanId: []byte{9}, Name: "alone"}))
	n += r.add(received(1,
		&tracepb.Span{SpanId: []byte{3}, ParentSpanId: []byte{2}, Name: "leaf"},
		&tracepb.Span{SpanId: []byte{1}, Name: "root", StartTimeUnixNano: 10, EndTimeUnixNano: 30},
	))
	n += r.add(received(1, &tracepb.Span{SpanId: []byte{2}, ParentSpanId: []byte{1}, Name: "inner", Attributes: []*commonpb.KeyValue{
		text("text", "a"),
		{Key: "list", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{
			Values: []*commonpb.AnyValue{text("", "b").Value, text("", "c").Value},
		}}}},
	}}))
	if n != 4 {
		t.Errorf("%d spans added, want 4", n)
	}
	file := filepath.Join(t.TempDir(), "data.parquet")
	size, err := write(file, r.sorted())
	if err != nil || size == 0 {
		t.Fatalf("%d bytes, %v", size, err)
	}
	got, err := parquet.ReadFile[trace](file)
	if err != nil || len(got) != 2 || got[0].TraceIDText != "01" || got[1].TraceIDText != "02" {
		t.Fatalf("%d rows, %v: %+v", len(got), err, got)
	}
	first := got[0]
	if first.RootServiceName != "shop" || first.RootSpanName != "root" || first.DurationNano != 20 {
		t.Errorf("the first row is %+v", first)
	}
	places := make(map[string][3]int32)
	for _, s := range first.spans().Spans {
		places[s.Name] = [3]int32{s.ParentID, s.NestedSetLeft, s.NestedSetRight}
		if s.Name == "inner" && (!reflect.DeepEqual(s.Attrs[0].Value, []string{"a"}) || s.Attrs[0].IsArray ||
			!reflect.DeepEqual(s.Attrs[1].Value, []string{"b", "c"}) || !s.Attrs[1].IsArray) {
			t.Errorf("attributes %+v", s.Attrs)
		}
	}
	if want := map[string][3]int32{"root": {-1, 1, 6}, "inner": {1, 2, 5}, "leaf": {2, 3, 4}}; !reflect.DeepEqual(places, want) {
		t.Errorf("parent, left and right are %v, want %v", places, want)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/hex"
	"slices"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// rows are the rows of a block by trace id. A row is a trace.
type rows map[string]*trace

// add adds received spans and returns their number. It relies on crau-otel giving all spans of a trace one resource and
// one scope.
func (r rows) add(rs *tracepb.ResourceSpans) (spans int) {
	for _, ss := range rs.GetScopeSpans() {
		for _, s := range ss.GetSpans() {
			t := r[string(s.GetTraceId())]
			if t == nil {
				t = newTrace(s.GetTraceId(), rs, ss)
				r[string(s.GetTraceId())] = t
			}
			t.add(s)
		}
		spans += len(ss.GetSpans())
	}
	return spans
}

// sorted returns the rows in the order of their trace ids, as in a block.
func (r rows) sorted() []trace {
	all := make([]trace, 0, len(r))
	for _, t := range r {
		t.number()
		all = append(all, *t)
	}
	slices.SortFunc(all, func(a, b trace) int { return bytes.Compare(a.TraceID, b.TraceID) })
	return all
}

const serviceName = "service.name"

func newTrace(id []byte, rs *tracepb.ResourceSpans, ss *tracepb.ScopeSpans) *trace {
	to := resourceSpans{ScopeSpans: []scopeSpans{{Scope: scope{
		Name: ss.GetScope().GetName(), Version: ss.GetScope().GetVersion(), Attrs: attributes(ss.GetScope().GetAttributes()),
	}}}}
	for _, kv := range rs.GetResource().GetAttributes() {
		if kv.GetKey() == serviceName {
			to.Resource.ServiceName = kv.GetValue().GetStringValue()
		} else {
			to.Resource.Attrs = append(to.Resource.Attrs, attributeOf(kv))
		}
	}
	return &trace{
		TraceID: id, TraceIDText: hex.EncodeToString(id), RootServiceName: to.Resource.ServiceName,
		ServiceStats: make(map[string]serviceStats), ResourceSpans: []resourceSpans{to},
	}
}

func (t *trace) spans() *scopeSpans { return &t.ResourceSpans[0].ScopeSpans[0] }

func (t *trace) add(s *tracepb.Span) {
	to := span{
		SpanID: s.GetSpanId(), ParentSpanID: s.GetParentSpanId(), Name: s.GetName(), Kind: int64(s.GetKind()),
		TraceState: s.GetTraceState(), StartTimeUnixNano: s.GetStartTimeUnixNano(),
		DurationNano: s.GetEndTimeUnixNano() - s.GetStartTimeUnixNano(), StatusCode: int64(s.GetStatus().GetCode()),
		StatusMessage: s.GetStatus().GetMessage(), Attrs: attributes(s.GetAttributes()),
	}
	for _, l := range s.GetLinks() {
		to.Links = append(to.Links, link{TraceID: l.GetTraceId(), SpanID: l.GetSpanId()})
	}
	if len(to.ParentSpanID) == 0 {
		t.RootSpanName, t.DurationNano = to.Name, to.DurationNano
		t.StartTimeUnixNano, t.EndTimeUnixNano = s.GetStartTimeUnixNano(), s.GetEndTimeUnixNano()
	}
	spans := t.spans()
	spans.Spans = append(spans.Spans, to)
	spans.SpanCount++
	stats := t.ServiceStats[t.RootServiceName]
	stats.SpanCount++
	if s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR {
		stats.ErrorCount++
	}
	t.ServiceStats[t.RootServiceName] = stats
}

// number assigns nested-set numbers to spans. These numbers express the spans' places in the tree.
func (t *trace) number() {
	spans, next := t.spans().Spans, int32(0)
	var visit func(s *span, parent int32)
	visit = func(s *span, parent int32) {
		next++
		s.ParentID, s.NestedSetLeft = parent, next
		for i := range spans {
			if child := &spans[i]; bytes.Equal(child.ParentSpanID, s.SpanID) {
				visit(child, s.NestedSetLeft)
			}
		}
		next++
		s.NestedSetRight = next
	}
	for i := range spans {
		if len(spans[i].ParentSpanID) == 0 {
			visit(&spans[i], -1)
		}
	}
}

func attributes(from []*commonpb.KeyValue) []attribute {
	to := make([]attribute, 0, len(from))
	for _, kv := range from {
		to = append(to, attributeOf(kv))
	}
	return to
}

func attributeOf(kv *commonpb.KeyValue) attribute {
	a, values := attribute{Key: kv.GetKey()}, []*commonpb.AnyValue{kv.GetValue()}
	if list := kv.GetValue().GetArrayValue(); list != nil {
		a.IsArray, values = true, list.GetValues()
	}
	for _, v := range values {
		switch v := v.GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			a.Value = append(a.Value, v.StringValue)
		case *commonpb.AnyValue_IntValue:
			a.ValueInt = append(a.ValueInt, v.IntValue)
		case *commonpb.AnyValue_DoubleValue:
			a.ValueDouble = append(a.ValueDouble, v.DoubleValue)
		case *commonpb.AnyValue_BoolValue:
			a.ValueBool = append(a.ValueBool, v.BoolValue)
		}
	}
	return a
}

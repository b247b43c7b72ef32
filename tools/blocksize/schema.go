// SPDX-License-Identifier: Apache-2.0

package main

// The types describe the columns of a block as Tempo documents them (vParquet4, "Apache Parquet schema"). The file's
// size depends on their nesting, encodings and compression, but not on their names and order.

type trace struct {
	TraceID           []byte
	TraceIDText       string `parquet:",snappy"`
	StartTimeUnixNano uint64 `parquet:",delta"`
	EndTimeUnixNano   uint64 `parquet:",delta"`
	DurationNano      uint64 `parquet:",snappy,delta"`
	RootServiceName   string `parquet:",dict"`
	RootSpanName      string `parquet:",dict"`
	ServiceStats      map[string]serviceStats
	ResourceSpans     []resourceSpans `parquet:",list"`
}

type serviceStats struct {
	SpanCount  uint32 `parquet:",delta"`
	ErrorCount uint32 `parquet:",delta"`
}

type resourceSpans struct {
	Resource   resource
	ScopeSpans []scopeSpans `parquet:",list"`
}

type resource struct {
	Attrs                  []attribute `parquet:",list"`
	DroppedAttributesCount int32       `parquet:",snappy"`
	ServiceName            string      `parquet:",snappy,dict"`
	Cluster                *string     `parquet:",snappy,optional,dict"`
	Namespace              *string     `parquet:",snappy,optional,dict"`
	Pod                    *string     `parquet:",snappy,optional,dict"`
	Container              *string     `parquet:",snappy,optional,dict"`
	K8sClusterName         *string     `parquet:",snappy,optional,dict"`
	K8sNamespaceName       *string     `parquet:",snappy,optional,dict"`
	K8sPodName             *string     `parquet:",snappy,optional,dict"`
	K8sContainerName       *string     `parquet:",snappy,optional,dict"`
	Dedicated              dedicated
}

type scopeSpans struct {
	Scope     scope
	Spans     []span `parquet:",list"`
	SpanCount int32  `parquet:",delta"`
}

type scope struct {
	Name                   string      `parquet:",snappy,dict"`
	Version                string      `parquet:",snappy,dict"`
	Attrs                  []attribute `parquet:",list"`
	DroppedAttributesCount int32       `parquet:",snappy"`
}

type span struct {
	SpanID                 []byte
	ParentSpanID           []byte
	ParentID               int32       `parquet:",delta"` // NestedSetLeft of the parent; -1 for the root
	NestedSetLeft          int32       `parquet:",delta"`
	NestedSetRight         int32       `parquet:",delta"`
	Name                   string      `parquet:",snappy,dict"`
	Kind                   int64       `parquet:",delta"`
	TraceState             string      `parquet:",snappy"`
	StartTimeUnixNano      uint64      `parquet:",delta"`
	DurationNano           uint64      `parquet:",delta"`
	StatusCode             int64       `parquet:",delta"`
	StatusMessage          string      `parquet:",snappy"`
	Attrs                  []attribute `parquet:",list"`
	DroppedAttributesCount int32       `parquet:",snappy"`
	Events                 []event     `parquet:",list"`
	DroppedEventsCount     int32       `parquet:",snappy"`
	Links                  []link      `parquet:",list"`
	DroppedLinksCount      int32       `parquet:",snappy"`
	HTTPMethod             *string     `parquet:",snappy,optional,dict"`
	HTTPURL                *string     `parquet:",snappy,optional,dict"`
	HTTPStatusCode         *int64      `parquet:",snappy,optional"`
	Dedicated              dedicated
}

type attribute struct {
	Key         string    `parquet:",snappy,dict"`
	IsArray     bool      `parquet:",snappy"`
	Value       []string  `parquet:",snappy,dict,list"`
	ValueInt    []int64   `parquet:",snappy,list"`
	ValueDouble []float64 `parquet:",snappy,list"`
	ValueBool   []bool    `parquet:",snappy,list"`
	Unsupported *string   `parquet:",snappy,optional"`
}

// dedicated contains the columns that an administrator can assign to particular attributes.
type dedicated struct {
	String01 *string `parquet:",snappy,optional,dict"`
	String02 *string `parquet:",snappy,optional,dict"`
	String03 *string `parquet:",snappy,optional,dict"`
	String04 *string `parquet:",snappy,optional,dict"`
	String05 *string `parquet:",snappy,optional,dict"`
	String06 *string `parquet:",snappy,optional,dict"`
	String07 *string `parquet:",snappy,optional,dict"`
	String08 *string `parquet:",snappy,optional,dict"`
	String09 *string `parquet:",snappy,optional,dict"`
	String10 *string `parquet:",snappy,optional,dict"`
}

type event struct {
	TimeSinceStartNano     uint64      `parquet:",delta"`
	Name                   string      `parquet:",snappy"`
	Attrs                  []attribute `parquet:",list"`
	DroppedAttributesCount int32       `parquet:",snappy"`
}

type link struct {
	TraceID                []byte      `parquet:",snappy"`
	SpanID                 []byte      `parquet:",snappy"`
	TraceState             string      `parquet:",snappy"`
	Attrs                  []attribute `parquet:",list"`
	DroppedAttributesCount int32       `parquet:",snappy"`
}

// SPDX-License-Identifier: Apache-2.0

// Package otlp exports trees over OTLP/gRPC.
//
// [Open] returns an [Exporter] for traces, and [OpenMetrics] a reader for metrics. The OTEL_EXPORTER_OTLP_* variables
// configure both. Open and OpenMetrics check the variables immediately, and name the variable in each error. A
// connection is made when it is first used, and again after it was lost.
//
// Encoding reuses what trees have in common. The resource and scope of a tree, together called its origin, are encoded
// once for all trees of a program. A span with a pattern (see [mapping.Span.Pattern]) is copied from a template, in
// which ids, times and one attribute are replaced. Other spans are encoded field by field, but encoded attributes are
// remembered. Export then only writes the lengths of messages before these bytes and passes them to gRPC. Tests compare
// the result with the output of the SDK's exporter.
//
// The SDK's exporter is not used for traces, for two reasons: encoding through protobuf structs took most of the
// agent's CPU time, and the SDK's exporter reports partial success and the retry delay of a receiver only as text.
// Metrics, which are few, are exported by the SDK.
package otlp

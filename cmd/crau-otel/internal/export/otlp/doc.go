// SPDX-License-Identifier: Apache-2.0

// Package otlp exports trees over OTLP/gRPC.
//
// [Open] returns an [Exporter] for traces, and [OpenMetrics] a reader for metrics. The OTEL_EXPORTER_OTLP_* variables
// configure both. The variables are checked immediately, and each error names its variable. Connections are made when
// they are first used, and again after a receiver was lost.
//
// A tree is encoded in three steps. Its resource and scope, an origin, are encoded once for all trees of a program. A
// span with a pattern is copied from a template, in which ids, times and one attribute are replaced. Other spans are
// encoded field by field, with encoded attributes remembered. Export then only writes the lengths of messages before
// these bytes and passes them to gRPC. Tests compare the result with the output of the SDK's exporter.
//
// The SDK's exporter is not used for traces, for two reasons: encoding through protobuf structs took most of the
// agent's CPU time, and it reports partial success and the retry delay of a receiver only as text. Metrics, which are
// few, are exported by the SDK.
package otlp

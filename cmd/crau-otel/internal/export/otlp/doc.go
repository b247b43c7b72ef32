// SPDX-License-Identifier: Apache-2.0

// Package otlp exports trees over OTLP/gRPC.
//
// [Open] returns an [Exporter] for traces that the OTEL_EXPORTER_OTLP_* variables configure, and [OpenMetrics] a reader
// for metrics. The variables are checked at once, each error names its variable; connections are made when they are
// first used, and again whenever a receiver is lost.
//
// A tree is encoded in three steps. Its resource and scope, an origin, are encoded once for all trees of a program. Its
// spans are copied from the template of their pattern with ids, times and one attribute replaced, or else encoded field
// by field, with the attributes remembered. Export then only writes the lengths of messages before these bytes and hands
// them to gRPC. Tests compare the result with what the SDK's exporter sends.
//
// The SDK's exporter is not used: encoding through protobuf structs took most of the agent's CPU time, and it reports
// partial success and the delay that a receiver asks for only as text. Metrics, which are few, are exported by the SDK.
package otlp

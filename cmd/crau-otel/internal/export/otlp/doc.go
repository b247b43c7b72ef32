// SPDX-License-Identifier: Apache-2.0

// Package otlp exports spans over OTLP/gRPC. Connection, TLS, headers, compression, deadlines and the meaning of answers
// are those of the SDK's otlptracegrpc, and resources and scopes are turned into protobuf by the SDK's otlptrace; only
// the spans themselves are encoded here, since their way through protobuf structs was 40% of the agent's CPU time.
package otlp

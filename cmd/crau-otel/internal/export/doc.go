// SPDX-License-Identifier: Apache-2.0

// Package export delivers finished trees to a receiver. It has a bounded queue, exports trees in batches, retries
// failed calls, and counts the outcome of every tree exactly.
//
// [Queue.Put] is called on the goroutine that makes trees. It encodes the tree immediately with the [Exporter]; only
// the encoded form, a [Batch], waits in the queue. The goroutine of the queue takes batches out, exports several of
// them in one call of the exporter, and retries calls that failed temporarily:
//
//	mapping.Tree ── Put ── Encode ──> Batch ... Batch ── Export ──> receiver
//
// The type of the error that [Exporter.Export] returns describes the receiver's answer: [*RefusedError] or
// [*PartialError]. Package otlp contains the exporter for OTLP/gRPC, package console the exporter for terminals, and
// [None] is an exporter that discards everything.
//
// [Queue] is used instead of the SDK's batch processor, because a full batch processor drops spans without counting
// them.
package export

// SPDX-License-Identifier: Apache-2.0

// Package export delivers finished trees: a bounded queue, batches, retries, and an exact count of the outcome of every
// tree.
//
// [Queue.Put] is called on the goroutine that makes trees. It has an [Exporter] encode the tree immediately; only the
// encoded form, a [Batch], waits in the queue. The queue's own goroutine takes batches out, joins them into calls of
// the exporter, and retries calls that failed temporarily:
//
//	mapping.Tree ── Put ── Encode ──> Batch ... Batch ── Export ──> receiver
//
// The exporter reports the receiver's answer by the type of its error: [*RefusedError] or [*PartialError]. Package otlp
// has the exporter for OTLP/gRPC, package console the one for terminals, and [None] discards everything.
//
// The queue replaces the SDK's batch processor, which drops spans without counting them when it is full.
package export

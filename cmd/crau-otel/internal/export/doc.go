// SPDX-License-Identifier: Apache-2.0

// Package export delivers finished trees: a bounded queue, batches, retries, and an exact count of what became of every
// tree.
//
// A [Queue] is given trees by Put, on the goroutine that makes them, and has an [Exporter] encode each at once; only
// the encoded form, a [Batch], waits. The queue's own goroutine takes batches out, joins them into calls of the
// exporter, and tries again what failed for a while:
//
//	mapping.Tree ── Put ── Encode ──> Batch ... Batch ── Export ──> receiver
//
// The exporter reports by the type of its error what a receiver said: [*RefusedError] or [*PartialError]. Package otlp
// has the exporter for OTLP/gRPC, package console the one for terminals, and [None] discards everything.
//
// The queue replaces the SDK's batch processor, which drops spans without counting them when it is full.
package export

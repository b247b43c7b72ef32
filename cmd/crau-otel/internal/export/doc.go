// SPDX-License-Identifier: Apache-2.0

// Package export carries finished trees to a span exporter: a bounded queue, batches, and a count of what became of
// every tree. The SDK's batch processor is not used since it drops spans without a word when its queue is full.
package export

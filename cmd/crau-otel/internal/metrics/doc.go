// SPDX-License-Identifier: Apache-2.0

// Package metrics counts uses of cryptography, whether or not their spans are sampled, and reports the state of
// crau-otel itself.
//
// [Metrics.Record] is called with each finished tree. [Instruments] documents the instruments, and docs/metrics.md is
// made from it.
//
// The number of series of an instrument is limited. An owner of series, usually a user or a service, may add one only
// while it has fewer than are still free, so that nobody who makes up names can use up the series that others need. What
// is over a limit is counted in one series with the attribute otel.metric.overflow.
package metrics

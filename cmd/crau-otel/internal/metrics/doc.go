// SPDX-License-Identifier: Apache-2.0

// Package metrics counts uses of cryptography, regardless of sampling, and reports the state of crau-otel itself.
//
// [Metrics.Record] is called with each finished tree. [Instruments] documents the instruments, and docs/metrics.md is
// generated from it.
//
// The number of series of an instrument is limited. An owner of series, usually a user or a service, may add one only
// while it has fewer than are still free, so that an owner who invents names cannot use up the series that others need.
// Measurements over a limit are counted in one series with the attribute otel.metric.overflow.
// is over a limit is counted in one series with the attribute otel.metric.overflow.
package metrics

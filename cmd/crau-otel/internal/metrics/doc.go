// SPDX-License-Identifier: Apache-2.0

// Package metrics counts uses of cryptography, regardless of sampling, and reports the state of crau-otel itself.
//
// [Metrics.Record] is called with each finished tree. [Instruments] documents the instruments, and docs/metrics.md is
// generated from it.
//
// The number of series of an instrument is limited. An owner may add a series only while it has fewer series than are
// still free, so that an owner who invents names cannot use up the series that other owners need. Measurements for
// which no series is free are counted in one series with the attribute otel.metric.overflow.
package metrics

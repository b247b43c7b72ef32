// SPDX-License-Identifier: Apache-2.0

// Command bench measures what crau-otel costs: the traced program a hit, itself an event, and in memory. It compares, in
// alternating rounds of one run, no tracer, an empty BPF program on the same sites, and crau-otel with an OTLP receiver.
// See docs/performance.md.
package main

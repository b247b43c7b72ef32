// SPDX-License-Identifier: Apache-2.0

// Command bench measures what crau-otel costs: CPU time per hit in the traced program, CPU time per event in the agent,
// and memory. It compares running without a tracer, with an empty BPF program at the same sites, and with crau-otel and
// an OTLP receiver. Short rounds of these alternate in one run. See docs/performance.md.
package main

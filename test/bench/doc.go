// SPDX-License-Identifier: Apache-2.0

// Command bench measures what crau-otel costs: CPU time per hit in the traced program, CPU time per event in the agent,
// and memory. In alternating rounds of one run it compares no tracer, an empty BPF program on the same sites, and
// crau-otel with an OTLP receiver. See docs/performance.md.
package main

// SPDX-License-Identifier: Apache-2.0

// Package check finds out whether crau-otel works on this host. [Gather] collects facts, including a trial that loads
// and attaches the BPF program, and [Judge] turns them into a [Report] without asking the host again.
package check

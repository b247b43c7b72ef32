// SPDX-License-Identifier: Apache-2.0

// Package check determines whether crau-otel works on this host. [Gather] collects facts, including a trial that loads
// and attaches the BPF program, and [Judge] turns them into a [Report] without asking the host again:
//
//	facts, err := check.Gather()
//	report := check.Judge(facts)
//
// A result is ok, degraded (crau-otel works with a limit), missing (it does not work) or unknown, and says what to do
// about it. To check something new, add what the host says about it to [Facts] and a result to Judge; tests give Judge
// the facts of hosts that are hard to come by.
//
// [WarnAboutBlindSpots] logs what a running agent cannot see of other processes.
package check

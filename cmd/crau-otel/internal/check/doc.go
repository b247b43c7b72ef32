// SPDX-License-Identifier: Apache-2.0

// Package check determines whether crau-otel works on this host. [Gather] collects facts about the host. It also makes
// a trial, which loads and attaches the BPF programs. [Judge] turns the facts into a [Report], without examining the
// host itself:
//
//	facts, err := check.Gather()
//	report := check.Judge(facts)
//
// A result has a status: ok, degraded (crau-otel works with a limitation), missing (crau-otel does not work) or
// unknown. Unless it is ok, the result also contains a remedy. To check something new, add a field to [Facts] and a
// result to Judge. Tests call Judge with the facts of hosts that are not available for testing.
//
// [WarnAboutBlindSpots] logs which processes and files a running agent cannot see.
package check

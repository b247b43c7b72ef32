// SPDX-License-Identifier: Apache-2.0

// Package e2e runs crau-otel, built as for a release, on the running kernel against programs with probes. The tests
// check what a user sees: spans, metrics, logs, totals and exit codes.
//
// Each test starts its own agent and traces a copy of the sample program that no other test runs, so most tests run in
// parallel. Tests that need the machine for themselves are not parallel and explain why: the go command runs them
// first, one after the other. Discovery finds all programs on the machine; tests of discovery select their own programs
// by unique names.
//
// Tests with GnuTLS have the build tag gnutls and need the output of examples/gnutls/build.sh. test/vm runs some of the
// tests on other kernels.
package e2e

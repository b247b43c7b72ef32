// SPDX-License-Identifier: Apache-2.0

// Package e2e runs the released program on the running kernel against programs with probes, and checks what a user sees:
// spans, metrics, logs, totals and exit codes.
//
// Each test starts its own agent, on a copy of the sample program that no other test runs, so most tests run in
// parallel. Tests that need the machine for themselves are not parallel and explain why: the go command runs them
// first, one after the other. Discovery finds everything that runs on the machine; tests of discovery select their
// programs by unique names.
//
// Tests with GnuTLS have the build tag gnutls and need the output of examples/gnutls/build.sh. test/vm runs a part of
// the tests on other kernels.
package e2e

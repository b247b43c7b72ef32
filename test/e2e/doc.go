// SPDX-License-Identifier: Apache-2.0

// Package e2e runs the released program on the running kernel against programs with probes, and checks what a user sees:
// spans, metrics, logs, totals and exit codes.
//
// Each test starts an agent of its own on a copy of the sample program that nobody else runs, so most tests run in
// parallel. Tests that need the machine for themselves are not parallel and say why: the go command runs them first, one
// after the other. Discovery finds whatever runs on the machine; tests of discovery pick their programs by unique names.
//
// Tests with GnuTLS have the build tag gnutls and need what examples/gnutls/build.sh builds. test/vm runs a part of the
// tests on other kernels.
package e2e

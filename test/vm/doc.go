// SPDX-License-Identifier: Apache-2.0

// Package vm runs tests of test/e2e in virtual machines with kernels that differ from this machine's: the matrix in
// vm_test.go has a line for each. kernel.sh downloads kernels of Debian's suites into a cache, vm.sh boots one of them
// with nothing but the agent, the sample program and the tests. QEMU emulates all processors, so no KVM is needed. The
// machines run one after the other, because an emulated processor takes a whole real one.
//
// The tests have the build tag vm; `make test-vm` runs them.
package vm

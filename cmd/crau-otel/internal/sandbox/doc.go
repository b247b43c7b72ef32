// SPDX-License-Identifier: Apache-2.0

// Package sandbox makes the kernel refuse system calls that the agent never makes while it runs: executing programs,
// opening files for writing, tracing processes, mounting, loading BPF programs and similar calls. An attacker who takes
// over the agent, through a bug in one of its parsers, can then only do what the agent itself does.
//
//	err := sandbox.Enter(sandbox.Config{})
//
// The sandbox uses seccomp, because Landlock would prevent the agent from examining other processes, which discovery
// does all the time (docs/decisions/sandbox.md). A seccomp filter sees the numbers that are passed to a system call,
// but not the memory that pointers refer to. It can therefore decide by flags and descriptors, but not by paths.
package sandbox

// SPDX-License-Identifier: Apache-2.0

// Package sandbox refuses the system calls that the agent never makes while it runs: executing programs, opening files
// for writing, tracing, mounting, loading BPF programs and the like. An attacker who takes over the agent, through a
// bug in one of its parsers, can only do what the agent itself does.
//
//	err := sandbox.Enter(sandbox.Config{})
//
// The sandbox uses seccomp, because Landlock prevents its processes from examining others, which discovery does all the
// time: docs/decisions/sandbox.md. Seccomp sees numbers but not the memory that pointers lead to. Calls are therefore
// refused because of flags and descriptors, and never because of paths.
package sandbox

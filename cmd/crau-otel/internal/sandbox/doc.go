// SPDX-License-Identifier: Apache-2.0

// Package sandbox refuses the system calls that the agent never makes once it runs: executing programs, opening files for
// writing, tracing, mounting, loading BPF programs and the like. An attacker who takes over the agent, by a flaw in what it
// parses, is left with what the agent itself does.
//
//	err := sandbox.Enter(sandbox.Config{})
//
// The means is seccomp, since Landlock denies its processes to look into others, which discovery does all the time:
// docs/decisions/sandbox.md. Seccomp sees numbers but not what pointers lead to. Which calls are refused is therefore
// decided by flags and descriptors, and never by paths.
package sandbox

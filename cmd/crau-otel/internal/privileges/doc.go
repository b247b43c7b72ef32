// SPDX-License-Identifier: Apache-2.0

// Package privileges lists which capabilities crau-otel needs and why, and drops all others.
//
// [Needs] returns the table of needed capabilities. The command check, the warnings about missing capabilities and
// [Keep] use this table. Before the agent loads anything, it calls [Check], which returns an error if a capability is
// missing without which nothing works. After loading, the agent gives up the privileges that it no longer needs:
//
//	err := privileges.Drop(user, privileges.Keep(tracer.Multi(), discovery, wire)) // become another user
//	err := privileges.YieldFiles(0)                                                 // or stay root without root's files
//
// Both functions apply to all threads and cannot be undone. [YieldFiles] is for an agent that stays root. The agent
// then accesses files as the user nobody: the sandbox cannot see paths, so it could not protect root's files.
package privileges

// SPDX-License-Identifier: Apache-2.0

// Package privileges lists which capabilities crau-otel needs and why, and drops all others.
//
// [Needs] is the table: crau-otel check, the warnings about what is missing and [Keep] are made of it. Before the agent
// loads anything, [Check] returns an error if it could not. Once that is done, it gives up the rest:
//
//	err := privileges.Drop(user, privileges.Keep(tracer.Multi(), discovery, wire)) // become another user
//	err := privileges.YieldFiles(0)                                                 // or stay root without root's files
//
// Both apply to all threads and cannot be undone. [YieldFiles] is for an agent that stays root: it accesses files as
// nobody does, so that the sandbox, which cannot see paths, need not know root's files.
package privileges

// SPDX-License-Identifier: Apache-2.0

// Package chaos lets programs of many kinds come and go at random while the agent is reloaded, frozen, stopped, killed
// and started again, and while its receiver goes away and comes back.
//
// `make chaos` does so for five minutes; CHAOS="-duration 60s -seed 7" for another time, or again with a seed that was
// printed. The seed decides which guest comes with what arguments and what happens to the agent in which order; the
// machine decides how these meet.
//
// A guest is one program, or a few, of one kind: see kinds. The agent has several lives, each from its start to its
// end: see life. What must hold:
//
//   - Of every life that ends with totals, hits = exported + counted losses. An agent that is killed by SIGKILL logs no
//     totals, so there is no equation for that life.
//   - Of the steady programs, which run beside the guests, all trees of each life are whole, from the moment when their
//     files are attached to the moment when the agent is asked to end. Before an agent is killed, the test waits until
//     the trees of what has been reported so far have arrived: what an agent holds when it is killed is lost.
//   - Every program ends as it does untraced. All kinds play without an agent first. Guests that overwrite an attached
//     file in the very moment in which the agent is killed are excluded, and counted.
//   - The kernel does not oops.
//   - When all guests are gone, the agent has the descriptors and the memory that it had when they were gone before, in
//     the same life.
package chaos

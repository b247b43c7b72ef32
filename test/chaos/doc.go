// SPDX-License-Identifier: Apache-2.0

// Package chaos starts and ends programs of many kinds at random while the agent is reloaded, frozen, stopped, killed
// and started again, and while its receiver disappears and comes back.
//
// `make chaos` does so for five minutes. CHAOS="-duration 60s -seed 7" sets another duration, or repeats a seed that
// was printed. The seed decides which guests come with which arguments and the order of events for the agent; their
// exact timing depends on the machine.
//
// A guest is one program, or a few, of one kind: see kinds. The agent has several lives, each from its start to its
// end: see life. These conditions must hold:
//
//   - For every life that ends with totals, hits = exported + counted losses. An agent that is killed by SIGKILL logs no
//     totals, so there is no equation for that life.
//   - All trees of the steady programs, which run alongside the guests, arrive whole in each life, from the moment when
//     their files are attached to the moment when the agent is asked to end. Before an agent is killed, the test waits
//     until all trees that were reported so far have arrived, because an agent that is killed loses the trees it holds.
//   - Every program ends in the same way as untraced. All kinds run without an agent first. Guests that overwrite an
//     attached file at the very moment when the agent is killed are excluded, and counted.
//   - The kernel does not oops.
//   - When all guests are gone, the agent has the same descriptors and memory as when they were gone before, in the same
//     life.
//     the same life.
package chaos

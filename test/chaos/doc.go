// SPDX-License-Identifier: Apache-2.0

// Package chaos starts and ends programs of many kinds at random while the agent is reloaded, frozen, stopped, killed
// and started again, and while its receiver disappears and comes back.
//
// `make chaos` runs the test for five minutes. `make chaos CHAOS="-duration 60s -seed 7"` sets another duration and a
// seed that an earlier run printed. The seed determines the arguments of the guests and the order of the agent's
// events; the exact timing depends on the machine.
//
// A guest is one run of a program, or of a few, of one kind: see kinds. The agent has several lives: a life is the time
// from a start of the agent to its end, see life. The steady programs run alongside the guests, see steady. These
// conditions must hold:
//
//   - In every life that ends with totals, the number of hits is the number of exported and of lost hits. An agent that
//     is killed by SIGKILL logs no totals, so its hits are not checked.
//   - In every life, all trees of the steady programs arrive whole, from the moment when their files are attached to
//     the moment when the agent is asked to end. Before an agent is killed, the test waits until all trees that were
//     reported so far have arrived, because a killed agent loses the trees that it holds.
//   - Every guest ends as it does without an agent. To make sure of that, guests of all kinds run without an agent
//     first. A guest that overwrites an attached file while the agent is killed may fail; such failures are only
//     counted.
//   - The kernel does not oops.
//   - When all guests have ended, the agent uses as many descriptors and as much memory as when all guests had ended
//     earlier in the same life, within small limits.
package chaos

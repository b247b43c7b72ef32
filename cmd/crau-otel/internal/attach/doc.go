// SPDX-License-Identifier: Apache-2.0

// Package attach attaches the probe sites of files that discovery finds, and detaches them again.
//
// [Files.Add], [Files.Judge] and [Files.Remove] are what discovery calls. Each file gets a number, which its events
// carry, and a description by that number in [Libraries], which outlives the file for a while: trees with its spans may
// be open. While a file is attached, whoever wants to write to it waits until it is detached; discovery then reads it
// again as a new file.
//
// None of this waits for the kernel to detach anything. That is for package links, which holds what is attached.
package attach

// SPDX-License-Identifier: Apache-2.0

// Package attach attaches the probe sites of files that discovery finds, and detaches them again.
//
// Discovery calls [Files.Add], [Files.Judge] and [Files.Remove]. Each file gets a file number, which its events carry.
// [Libraries] describes files by number. It keeps the description of a detached file for a while, because trees with
// spans of that file may still be open. A program that wants to write to an attached file has to wait until the file is
// detached. Discovery then reads the file again, as a new file.
//
// Calls from discovery do not wait until the kernel has detached a file. Package links does that in the background.
package attach

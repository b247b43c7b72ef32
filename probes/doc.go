// SPDX-License-Identifier: Apache-2.0

// Package probes finds the USDT probes of provider crypto_auditing in ELF
// files, turns their argument strings into operands that a BPF program can
// evaluate without knowing register names, and attaches a program to them.
//
// A probe site is described by a note of owner "stapsdt" in the section
// .note.stapsdt, written by <sys/sdt.h>:
// https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation
//
// Files are hostile input: an agent reads whatever a process has mapped. Every
// read is bounded by the file's size and by the limits in limits.go, so that a
// file can cost neither a panic nor more than a few megabytes of memory. A
// note that makes no sense is left out and reported in [File.Problems]; the
// others of the same file are still used.
//
// Only 64-bit little-endian files for x86-64 and arm64 are understood.
package probes

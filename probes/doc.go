// SPDX-License-Identifier: Apache-2.0

// Package probes reads USDT probes from ELF files and attaches a BPF program to them. The provider of the probes is
// crypto_auditing; OpenSSL may call it openssl.
//
// A USDT probe consists of a nop in the code of a library or program, and an ELF note of owner "stapsdt" in the section
// .note.stapsdt. The note says where the nop is (the site), which probe it belongs to, and where the probe's arguments
// are when the nop is executed, as an assembler operand string such as "8@%rdi -4@12(%rsp)". The format is that of
// <sys/sdt.h>: https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation
//
// [Open] and [Read] parse one file into a [File]: the [Site] values with their parsed [Operand] values, the file's
// build id and soname, and where its string constants are. A File also lists entry points of known libraries as
// sites, for example gnutls_handshake, whose first argument is the session being worked on. [Attach] attaches a
// program to sites of the file in every process, present and future:
//
//	file, err := probes.Open("/usr/lib/libgnutls.so.30")
//	...
//	sites := tracer.Place(file.Sites)
//	cookies[i], err = tracer.Add(sites[i], fileNumber)
//	...
//	attachment, err := probes.Attach(file.Path, tracer.Program(), tracer.Multi(), sites, cookies)
//
// A site may have several nops. Which of them makes hits cheapest depends on the running kernel: see [TryNops].
//
// Registers in operands are word indexes into the kernel's structure of saved registers, so the BPF program does not
// need to know register names.
//
// Files are untrusted input, because the agent reads any file that a process has mapped. Every read is bounded by the
// file's size and by the limits in limits.go: no file causes a panic or makes the package use more than a few megabytes
// of memory. A note that cannot be used is skipped and reported in [File.Problems]; the other notes of the file are
// still used.
//
// Only 64-bit little-endian files for x86-64 and arm64 are supported. Finding files and processes is the job of
// package probes/discover.
package probes

// SPDX-License-Identifier: Apache-2.0

// Package loader finds the files that a program will map, in the way the dynamic loader does. The process that executes
// the program may have ended: only the program's file and its root folder are needed.
//
//	needed := loader.Resolve(loader.Program{Root: rootFD, Path: "/usr/bin/curl", File: file}, step)
//
// It follows PT_INTERP, DT_NEEDED, DT_RPATH, DT_RUNPATH with $ORIGIN, $LIB and $PLATFORM, LD_LIBRARY_PATH and
// LD_PRELOAD, and then glibc's cache of libraries and default folders, or musl's if the interpreter is musl's. Where
// the loader would choose a file by the processor's abilities (glibc-hwcaps), all candidates are returned.
//
// It does not find what a program loads with dlopen, or through a loader that was built with other default folders.
package loader

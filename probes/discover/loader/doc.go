// SPDX-License-Identifier: Apache-2.0

// Package loader finds the files that a program will map, as the dynamic loader would, from the program's file alone: the
// process need not run any more.
//
//	needed := loader.Resolve(loader.Program{Root: rootFD, Path: "/usr/bin/curl", File: file, Size: size}, step)
//
// It follows PT_INTERP, DT_NEEDED, DT_RPATH, DT_RUNPATH with $ORIGIN, $LIB and $PLATFORM, LD_LIBRARY_PATH and LD_PRELOAD,
// and then glibc's cache of libraries and default folders or, if the interpreter is musl's, musl's. Where the loader
// would choose a file by the processor's abilities (glibc-hwcaps), all of them are returned.
//
// It does not know what a program loads by dlopen, or with a loader that was built with other folders.
package loader

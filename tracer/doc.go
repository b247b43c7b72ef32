// SPDX-License-Identifier: Apache-2.0

// Package tracer runs the BPF program that is attached to probe sites, and turns the records that the program writes
// into events.
//
// [New] loads the program and its maps. [Tracer.Add] registers a probe site, as package probes describes it, and
// returns the cookie with which the site is then attached (see [github.com/crau-otel/crau-otel/probes.Attach]). When
// a process hits the site, the program writes a record to a ring buffer that is shared by all CPUs. [Tracer.Run]
// reads the ring, decodes each record into an [github.com/crau-otel/crau-otel/tracer/event.Event] and hands it to a
// [Handler]:
//
//	t, err := tracer.New(tracer.Config{})
//	...
//	sites := t.Place(file.Sites)
//	cookies[i], err = t.Add(sites[i], fileNumber)
//	...
//	attachment, err := probes.Attach(path, t.Program(), t.Multi(), sites, cookies)
//	...
//	err = t.Run(ctx, handler)
//
// Every hit either becomes an event or is counted under one reason in [Stats].
//
// The program does not copy string constants that user space already has: [Tracer.AddStrings] registers a copy of a
// file's read-only strings, and records then contain offsets into that copy.
//
// The package does not find files or processes, and does not interpret events.
package tracer

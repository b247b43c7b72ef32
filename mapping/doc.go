// SPDX-License-Identifier: Apache-2.0

// Package mapping turns the events of crypto libraries into trees of OpenTelemetry spans. It needs neither privileges
// nor a kernel: the caller passes it decoded events, and it passes finished trees to a sink.
//
// # Words
//
// A library opens a context for each thing it does, such as a handshake or a signature, and adds keys with values to
// the context. A context becomes a span. Contexts nest: a root with everything below it is a tree, which becomes a
// trace. No library reports the end of a context, so ends are inferred.
//
// # Use
//
//	m, err := mapping.New(mapping.Config{
//		Wall: clock.Wall,
//		Sink: func(t mapping.Tree) { queue.Put(t) },
//	})
//	for {
//		ev := read()
//		m.Handle(ev)      // in the order in which the events happened
//		m.Tick(ev.Time)   // regularly: ends idle trees
//	}
//	m.Flush()             // at the end: ends all trees
//
// Spans and operations of a [Tree] are valid until the sink returns; [Tree.Clone] makes a copy that lasts. [Rules]
// holds what a reload may change: see [Mapper.Reconfigure]. [Mapper.Stats] accounts for every event.
//
// # How it works
//
// Data passes through these types in this order, and never returns to an earlier one:
//
//	               event              Finished                  Meaning             Tree
//	Mapper.Handle ──────▶ contexts.Tracker ──▶ meaning.Interpreter ──▶ Mapper.tree ──▶ sink
//
// In detail:
//
//   - contexts decides which open context an event belongs to, and when a tree ends. It passes on the tree's shape
//     (names, nesting, data) and, separately, the ids and times of the contexts.
//   - meaning interprets the shape, and only the shape: span names, attributes, post-quantum statuses, weak reasons,
//     policy violations, operations to count. Shapes repeat, so it caches their meanings.
//   - This package makes spans from the meaning, the ids and times, and the process's resource, and encrypts context
//     ids. mapper.go connects the packages, spans.go and output.go have the result, rules.go has what a reload changes.
//
// The packages above use the following ones, which do not import the packages above:
//
//   - shape defines the value that passes from contexts to meaning.
//   - schema holds the tables of context names, event keys and attributes.
//   - registry knows codepoints and spellings of algorithms; policy knows the rules for what is a violation.
//   - text makes untrusted text valid and printable; memo is the cache of the fast paths.
//
// contexts and meaning do not import each other, so that neither can depend on the other's state.
//
// # Where to start
//
// To change how events become trees, start in contexts; to change what spans say, start in meaning. For attributes,
// code points and policies, there are instructions in docs/architecture.md. The tests here generate events with package
// internal/eventtest and compare the resulting trees. differential_test.go runs random programs, and compares the trees
// with those of model_test.go, a model of the rules that is slow and easy to read.
//
// # What it does not do
//
// It reads no files and inspects no processes: everything about a process or a file that is not in the events comes
// from the hooks [Rules.Describe], [Config.Library], [Config.Owner] and [Config.Code]. It does not export, sample or
// queue.
package mapping

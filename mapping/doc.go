// SPDX-License-Identifier: Apache-2.0

// Package mapping turns the events of crypto libraries into trees of OpenTelemetry spans. It needs neither privileges
// nor a kernel: the caller passes it decoded events, and it passes finished trees to a sink.
//
// # Words
//
// A library opens a context for each thing it does, such as a handshake or a signature, and adds keys with values to
// it. A context becomes a span. Contexts nest: a root with everything below it is a tree, and becomes a trace. No
// library reports the end of a context, so ends are inferred.
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
//		m.Tick(ev.Time)   // regularly: ends what is idle
//	}
//	m.Flush()             // ends everything
//
// Spans and operations of a [Tree] are valid until the sink returns; [Tree.Clone] makes a copy that lasts. [Rules]
// holds what a reload may change, see [Mapper.Reconfigure]. [Mapper.Stats] accounts for every event.
//
// # How it works
//
// An event passes through the packages below in this order, and never returns to an earlier one:
//
//	               event              Finished                  Meaning             Tree
//	Mapper.Handle ──────▶ contexts.Tracker ──▶ meaning.Interpreter ──▶ Mapper.tree ──▶ sink
//
// In detail:
//
//   - contexts decides which open context an event belongs to, and when a tree ends. It hands up the tree's shape
//     (names, nesting, data), and beside it the ids and times of the contexts.
//   - meaning interprets the shape, and only the shape: span names, attributes, post-quantum statuses, weak reasons,
//     policy violations, operations to count. Shapes come again and again, so it remembers meanings.
//   - This package combines the two with the process's resource to spans, and encrypts context ids. mapper.go has the
//     walk, spans.go and output.go the result, rules.go what a reload changes.
//
// The packages below do not know these:
//
//   - shape defines the value that passes from contexts to meaning.
//   - schema holds the tables of context names, event keys and attributes.
//   - registry knows codepoints and spellings of algorithms; policy knows the rules for what is a violation.
//   - text makes text from outside valid; memo is the cache of the fast paths.
//
// contexts and meaning do not import each other, so that neither can depend on the other's state.
//
// # Where to start
//
// To change how handshakes are put together, start in contexts; to change what is said about them, in meaning. Attributes,
// code points and policies have recipes in docs/architecture.md. The tests here play events with package
// internal/eventtest and compare the trees; differential_test.go compares random programs with a model of the rules
// (model_test.go) that is slow and written to be read.
//
// # What it does not do
//
// It reads no files and inspects no processes: everything about a process or a file that is not in the events comes
// from the hooks [Rules.Describe] and [Config.Library]. It does not export, sample or queue.
package mapping

// SPDX-License-Identifier: Apache-2.0

package main

// load is a stream of events at a fixed rate, fired by two threads.
type load struct {
	name string
	what string
	// perTree is the number of events in a tree of the sample program. 0 means that the load program fires the events,
	// with one context per thread.
	perTree int
	args    []string // arguments of the sample program
	agent   []string // additional arguments of crau-otel
}

func loads() []load {
	return []load{
		{
			name: "trees", perTree: 8, what: "TLS 1.3 clients in 8 events, each with 1 to 4 pairs: 7 spans",
			args: []string{"--style", "self", "--role", "client", "--group", "29", "--offer", "29"},
		},
		{
			name: "trees-roots", perTree: 8, what: "the same with spans.detail handshake: 1 span",
			args:  []string{"--style", "self", "--role", "client", "--group", "29", "--offer", "29"},
			agent: []string{"--detail", "handshake"},
		},
		{
			name: "trees-single", perTree: 30, what: "trees in 30 events with at most a pair each, as GnuTLS reports it",
			args: []string{"--style", "explicit", "--role", "client", "--group", "29", "--offer", "29"},
		},
		{name: "words", what: "words on one long-lived context a thread"},
	}
}

func loadNames() (names []string) {
	for _, l := range loads() {
		names = append(names, l.name)
	}
	return names
}

// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"fmt"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// wireRoot and wireGroup are ids of contexts of one connection, in the form that package wire uses.
const (
	wireRoot  = 1<<60 | 7
	wireGroup = 2<<60 | 7
)

func word(key string, value uint64) event.Pair {
	return event.Pair{Key: []byte(key), Type: event.Word, Word: value}
}

func blob(key string, value string) event.Pair {
	return event.Pair{Key: []byte(key), Type: event.Blob, Value: []byte(value), Word: uint64(len(value))}
}

func str(key, value string) event.Pair {
	return event.Pair{Key: []byte(key), Type: event.String, Value: []byte(value)}
}

// onWire returns an event of package wire.
func onWire(kind event.Kind, context, parent uint64, pairs ...event.Pair) event.Event {
	return event.Event{Kind: kind, PID: 1, TID: 1, Context: context, Parent: parent, File: event.Wire, Pairs: pairs}
}

// wireHandshake returns the events of package wire for a client's handshake that offers X25519MLKEM768 and x25519, and
// negotiates group.
func wireHandshake(group uint64) []event.Event {
	return []event.Event{
		onWire(event.NewContext, wireRoot, event.NoParent, str("name", "tls::handshake"), str("tls::role", "client")),
		onWire(event.Data, wireRoot, 0, blob("tls::offered_groups", "\x11\xec\x00\x1d"), word("tls::protocol_version", 0x0304),
			word("tls::ciphersuite", 0x1301)),
		onWire(event.NewContext, wireGroup, wireRoot, str("name", "tls::key_exchange"), word("tls::group", group),
			word("tls::negotiated", 1)),
		onWire(event.Data, wireRoot, 0, word("tls::resumed", 0)),
	}
}

// libraryHandshake returns the events of the same handshake as a library with probes reports it: those before the hello
// is sent, and those after.
func libraryHandshake(group uint64) (before, after []event.Event) {
	library := func(kind event.Kind, context, parent uint64, pairs ...event.Pair) event.Event {
		return event.Event{Kind: kind, PID: 1, TID: 1, Context: context, Parent: parent, Pairs: pairs}
	}
	before = []event.Event{
		library(event.SessionEnter, 99, 0),
		library(event.NewContext, 10, event.NoParent, str("name", "tls::handshake_client")),
	}
	after = []event.Event{
		library(event.Data, 10, 0, word("tls::protocol_version", 0x0304)),
		library(event.NewContext, 11, 10, str("name", "tls::key_exchange"), word("tls::group", group)),
		library(event.NewContext, 12, 11, str("name", "pk::derive"), str("pk::algorithm", "ECDH"), str("pk::curve", "X25519")),
	}
	return before, after
}

// newCollector returns a mapper that appends finished trees to trees.
func newCollector(t *testing.T, trees *[]Tree) *Mapper {
	t.Helper()
	m, err := New(Config{
		Wall: func(boot uint64) time.Time { return time.Unix(0, int64(boot)) },
		Sink: func(tr Tree) { *trees = append(*trees, tr.Clone()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// mapAll maps the events, and returns the resulting trees and the mapper's counters.
func mapAll(t *testing.T, events ...event.Event) ([]Tree, Stats) {
	t.Helper()
	var trees []Tree
	m := newCollector(t, &trees)
	for i := range events {
		events[i].Time = uint64(i + 1)
		m.Handle(&events[i])
	}
	m.Flush()
	return trees, m.Stats()
}

func checkRoot(t *testing.T, tree *Tree, want map[string]string) {
	t.Helper()
	got := attributeMap(tree.Spans[0].Attributes())
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s is %q, want %q", key, got[key], value)
		}
	}
}

func TestHandshakeFromTheWireAloneIsJudged(t *testing.T) {
	t.Parallel()
	for group, want := range map[uint64]map[string]string{
		0x11ec: {
			"crypto.pqc.key_exchange.status": "hybrid", "crypto.pqc.downgraded": "", "tls.resumed": "", "crypto.source": "wire",
			"crypto.pqc.authentication.status": "", "tls.groups.offered": `["X25519MLKEM768","x25519"]`,
		},
		0x001d: {"crypto.pqc.key_exchange.status": "classical", "crypto.pqc.downgraded": "true"},
	} {
		trees, stats := mapAll(t, append(wireHandshake(group), onWire(event.ContextEnd, wireRoot, 0))...)
		if len(trees) != 1 || stats.Events != 0 || trees[0].Events != 0 {
			t.Fatalf("%d trees, %+v", len(trees), stats)
		}
		checkRoot(t, &trees[0], want)
		checkRoot(t, &trees[0], map[string]string{"crypto.context.end": "observed"})
	}
}

func TestResumptionSeenOnTheWire(t *testing.T) {
	t.Parallel()
	trees, _ := mapAll(
		t,
		onWire(event.NewContext, wireRoot, event.NoParent, str("name", "tls::handshake"), str("tls::role", "server")),
		onWire(event.Data, wireRoot, 0, blob("tls::offered_groups", "\x11\xec"), word("tls::protocol_version", 0x0304)),
		onWire(event.Data, wireRoot, 0, word("tls::resumed", 1)),
	)
	checkRoot(t, &trees[0], map[string]string{
		"tls.resumed": "true", "crypto.pqc.key_exchange.status": "", "tls.group.name": "", "crypto.pqc.downgraded": "",
	})
}

// A handshake with an external pre-shared key is not a resumption, and is classical only if it has a classical key
// exchange. It makes no difference whether a library reports it too.
func TestWireWithExternalKey(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		version, suite uint64
		events         []event.Event
		status         string
	}{
		"TLS 1.3": {0x0304, 0x1301, []event.Event{onWire(event.Data, wireRoot, 0, word("tls::resumed", 0))}, ""},
		"TLS 1.3 with key exchange": {0x0304, 0x1301, []event.Event{
			onWire(event.NewContext, wireGroup, wireRoot, str("name", "tls::key_exchange"), word("tls::group", 23), word("tls::negotiated", 1)),
			onWire(event.Data, wireRoot, 0, word("tls::resumed", 0)),
		}, "classical"},
		"TLS 1.2": {0x0303, 0x00a8, []event.Event{
			onWire(event.NewContext, wireGroup, wireRoot, str("name", "tls::key_exchange"), word("tls::negotiated", 1)),
		}, ""},
		"TLS 1.2 with static RSA": {0x0303, 0x00ac, []event.Event{
			onWire(event.NewContext, wireGroup, wireRoot, str("name", "tls::key_exchange"), word("tls::negotiated", 1)),
		}, "classical"},
		"TLS 1.2 with key exchange": {0x0303, 0xd001, []event.Event{
			onWire(event.NewContext, wireGroup, wireRoot, str("name", "tls::key_exchange"), word("tls::negotiated", 1)),
		}, "classical"},
		"TLS 1.2, anonymous": {0x0303, 0xc018, []event.Event{
			onWire(event.NewContext, wireGroup, wireRoot, str("name", "tls::key_exchange"), word("tls::group", 23), word("tls::negotiated", 1)),
		}, "classical"},
	} {
		library := func(kind event.Kind, pairs ...event.Pair) event.Event {
			return event.Event{Kind: kind, PID: 1, TID: 1, Context: 10, Parent: event.NoParent, Pairs: pairs}
		}
		hello := []event.Event{
			onWire(event.NewContext, wireRoot, event.NoParent, str("name", "tls::handshake"), str("tls::role", "client")),
			onWire(event.Data, wireRoot, 0, word("tls::protocol_version", c.version), word("tls::ciphersuite", c.suite)),
		}
		for how, events := range map[string][]event.Event{
			"alone": concat(hello, c.events),
			"with a library": concat(
				[]event.Event{library(event.NewContext, str("name", "tls::handshake_client"))}, hello, c.events, []event.Event{library(event.Data, word("tls::protocol_version", c.version))},
			),
		} {
			trees, _ := mapAll(t, append(events, onWire(event.ContextEnd, wireRoot, 0))...)
			t.Log(what, how)
			checkRoot(t, &trees[0], map[string]string{
				"tls.resumed": "", "crypto.pqc.key_exchange.status": c.status,
				"crypto.source": map[string]string{"alone": "wire", "with a library": "probe+wire"}[how],
			})
		}
	}
}

func TestAlertOnTheWireIsAFailure(t *testing.T) {
	t.Parallel()
	trees, _ := mapAll(
		t,
		onWire(event.NewContext, wireRoot, event.NoParent, str("name", "tls::handshake"), str("tls::role", "client")),
		onWire(event.Data, wireRoot, 0, str("tls::alert_side", "server"), word("tls::alert", 40)),
	)
	checkRoot(t, &trees[0], map[string]string{"error.type": "handshake_failure", "tls.alert.side": "server", "tls.alert.code": "40"})
	if got := trees[0].Spans[0].Status.Description; got != "handshake failed: handshake_failure from the server" {
		t.Errorf("status %q", got)
	}
}

// A handshake that a library and package wire both report becomes one tree, regardless of which report ends first.
func TestWireCompletesALibrarysHandshake(t *testing.T) {
	t.Parallel()
	before, after := libraryHandshake(0x001d)
	seen := wireHandshake(0x001d)
	end := onWire(event.ContextEnd, wireRoot, 0)
	for name, events := range map[string][]event.Event{
		"the wire's ends first":     concat(before, seen, after, []event.Event{end}),
		"the library's ends first":  concat(before, seen, after),
		"the wire's ends in middle": concat(before, seen, []event.Event{end}, after),
	} {
		trees, stats := mapAll(t, events...)
		if len(trees) != 1 || stats.Events != uint64(len(before)+len(after)) || stats.OpenContexts != 0 || stats.OpenBytes != 0 {
			t.Fatalf("%s: %d trees, %+v", name, len(trees), stats)
		}
		checkRoot(t, &trees[0], map[string]string{
			"crypto.source": "probe+wire", "crypto.source.joined": "exact", "tls.cipher": "TLS_AES_128_GCM_SHA256",
			"tls.groups.offered": `["X25519MLKEM768","x25519"]`, "crypto.pqc.downgraded": "true",
		})
		if len(trees[0].Spans) != 3 {
			t.Errorf("%s: %d spans", name, len(trees[0].Spans))
		}
	}
}

// If the reports of package wire and of a library contradict each other, they are kept as two trees that link to each
// other.
func TestWireAndLibraryThatDisagreeStayApart(t *testing.T) {
	t.Parallel()
	before, after := libraryHandshake(0x001d)
	trees, _ := mapAll(t, concat(before, wireHandshake(0x11ec), after)...)
	if len(trees) != 2 {
		t.Fatalf("%d trees", len(trees))
	}
	for i := range trees {
		checkRoot(t, &trees[i], map[string]string{"crypto.source.joined": ""})
	}
	checkLinked(t, &trees[0], &trees[1])
}

// checkLinked checks that the roots of two trees link to each other.
func checkLinked(t *testing.T, a, b *Tree) {
	t.Helper()
	for _, pair := range [][2]*Span{{&a.Spans[0], &b.Spans[0]}, {&b.Spans[0], &a.Spans[0]}} {
		if want := (Link{TraceID: pair[1].TraceID, SpanID: pair[1].SpanID}); pair[0].Link != want {
			t.Errorf("the link is %v, want %v", pair[0].Link, want)
		}
		if number, _, _ := pair[0].Pattern(); number != 0 {
			t.Error("a span with a link has a pattern")
		}
	}
}

// If a library reports a group that the client on the wire did not offer, the two are not joined, but link to each
// other.
func TestWireWithoutTheLibrarysGroupStaysApart(t *testing.T) {
	t.Parallel()
	before, after := libraryHandshake(0x001d)
	more := event.Event{Kind: event.NewContext, PID: 1, TID: 1, Context: 13, Parent: 10, Pairs: []event.Pair{str("name", "tls::key_exchange"), word("tls::group", 0x0018)}}
	trees, _ := mapAll(t, concat(before, wireHandshake(0x001d), after, []event.Event{more})...)
	if len(trees) != 2 {
		t.Fatalf("%d trees", len(trees))
	}
	checkLinked(t, &trees[0], &trees[1])
}

// If a library that reports no sessions has two handshakes open on the thread, the hello can belong to either. The
// wire's data are added to neither, and the wire's tree links to the newer one.
func TestWireInDoubtBetweenTwoHandshakes(t *testing.T) {
	t.Parallel()
	open := func(context uint64) event.Event {
		return event.Event{Kind: event.NewContext, PID: 1, TID: 1, Context: context, Parent: event.NoParent, Pairs: []event.Pair{str("name", "tls::handshake_client")}}
	}
	trees, stats := mapAll(t, concat([]event.Event{open(10), open(20)}, wireHandshake(0x001d))...)
	if len(trees) != 3 || stats.OpenContexts != 0 || stats.OpenBytes != 0 {
		t.Fatalf("%d trees, %+v", len(trees), stats)
	}
	for i, source := range []string{"probe", "probe", "wire"} {
		checkRoot(t, &trees[i], map[string]string{"crypto.source": source, "crypto.source.joined": ""})
	}
	if trees[0].Spans[0].Link.IsValid() {
		t.Error("the other handshake has a link")
	}
	checkLinked(t, &trees[1], &trees[2])

	// If only one handshake is open, the two reports are joined.
	trees, _ = mapAll(t, concat([]event.Event{open(10)}, wireHandshake(0x001d))...)
	if len(trees) != 1 {
		t.Fatalf("%d trees", len(trees))
	}
	checkRoot(t, &trees[0], map[string]string{"crypto.source": "probe+wire", "crypto.source.joined": "inferred"})
}

// If the probes were attached after the hello, the library reports only the rest of the handshake. The two trees are
// not joined, but link to each other.
func TestWireOfAHandshakeThatALibraryReportsInPart(t *testing.T) {
	t.Parallel()
	before, after := libraryHandshake(0x001d)
	seen := wireHandshake(0x001d)
	for name, events := range map[string][]event.Event{
		"with its session":    concat(seen, before, after),
		"without its session": concat(seen, before[1:], after),
	} {
		trees, _ := mapAll(t, events...)
		if len(trees) != 2 {
			t.Fatalf("%s: %d trees", name, len(trees))
		}
		checkLinked(t, &trees[0], &trees[1])
	}
	// If the wire's handshake has already ended, the library's is another one: there are no links.
	trees, _ := mapAll(t, concat(seen, []event.Event{onWire(event.ContextEnd, wireRoot, 0)}, before, after)...)
	if len(trees) != 2 || trees[0].Spans[0].Link.IsValid() || trees[1].Spans[0].Link.IsValid() {
		t.Errorf("%d trees, or a link", len(trees))
	}
}

// If a library that reports sessions alternates between ten handshakes on one thread, each is joined with its own
// hello.
func TestWireOfInterleavedSessions(t *testing.T) {
	t.Parallel()
	const sessions = 10
	var events []event.Event
	enter := func(n uint64) {
		events = append(events, event.Event{Kind: event.SessionEnter, PID: 1, TID: 1, Context: 100 + n},
			event.Event{Kind: event.NewContext, PID: 1, TID: 1, Context: 10, Parent: event.NoParent, Pairs: []event.Pair{str("name", "tls::handshake_client")}})
	}
	wire := func(n uint64, from, to int) {
		for _, ev := range wireHandshake(0x001d)[from:to] {
			ev.Context += n
			if ev.Parent == wireRoot {
				ev.Parent += n
			}
			if ev.Kind == event.Data && from > 0 && len(ev.Pairs) == 3 {
				ev.Pairs = append([]event.Pair{}, ev.Pairs...)
				ev.Pairs[2] = word("tls::ciphersuite", 0x1300+n)
			}
			events = append(events, ev)
		}
	}
	for n := range uint64(sessions) {
		enter(n)
		wire(n, 0, 1)
	}
	for n := range uint64(sessions) {
		wire(n, 1, 4)
	}
	for n := range uint64(sessions) {
		enter(n)
		events = append(events, event.Event{Kind: event.Data, PID: 1, TID: 1, Context: 10, Pairs: []event.Pair{word("gnutls::number", n)}})
	}
	trees, _ := mapAll(t, events...)
	if len(trees) != sessions {
		t.Fatalf("%d trees", len(trees))
	}
	for i := range trees {
		attrs := attributeMap(trees[i].Spans[0].Attributes())
		if attrs["crypto.source.joined"] != "exact" || attrs["tls.cipher_suite.id"] != fmt.Sprint(0x1300+i) || attrs["gnutls.number"] != fmt.Sprint(i) {
			t.Errorf("session %d: %v", i, attrs)
		}
	}
}

// A program cannot add data to a context of package wire, even if it uses the context's id.
func TestWireContextsAreOutOfReach(t *testing.T) {
	t.Parallel()
	events := append(wireHandshake(0x11ec), event.Event{
		Kind: event.Data, PID: 1, TID: 1, Context: wireRoot, File: 3, Pairs: []event.Pair{word("tls::ciphersuite", 1)},
	})
	trees, _ := mapAll(t, events...)
	for i := range trees {
		if attributeMap(trees[i].Spans[0].Attributes())["crypto.source"] == "wire" {
			checkRoot(t, &trees[i], map[string]string{"tls.cipher": "TLS_AES_128_GCM_SHA256"})
		}
	}
	if len(trees) != 2 {
		t.Errorf("%d trees", len(trees))
	}
}

func concat(parts ...[]event.Event) []event.Event {
	var all []event.Event
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

// A second handshake on one socket has the same context ids as the first. They become two trees, because the wire
// reports whole handshakes, not pieces.
func TestHandshakesOfOneSocketStayApart(t *testing.T) {
	t.Parallel()
	var trees []Tree
	m := newCollector(t, &trees)
	now := uint64(time.Hour)
	handle := func(events ...event.Event) {
		for _, ev := range events {
			now++
			ev.Time = now
			m.Handle(&ev)
		}
	}
	for _, coupled := range []bool{false, true} {
		trees = nil
		before, after := libraryHandshake(0x11ec)
		if coupled {
			handle(before...)
		}
		handle(wireHandshake(0x11ec)...)
		if coupled {
			handle(after...)
			handle(onWire(event.ContextEnd, wireRoot, 0))
		}
		now += uint64(defaultIdleTimeout) - 100
		again := wireHandshake(0x001d)
		handle(again[0])
		m.Tick(now + 200) // the second handshake is not idle yet
		handle(again[1:]...)
		handle(onWire(event.ContextEnd, wireRoot, 0))
		now += uint64(2 * defaultIdleTimeout)
		m.Tick(now)
		if len(trees) != 2 {
			t.Fatalf("coupled %t: %d trees, want 2", coupled, len(trees))
		}
		source := map[bool]string{false: "wire", true: "probe+wire"}[coupled]
		checkRoot(t, &trees[0], map[string]string{"tls.group.name": "X25519MLKEM768", "crypto.source": source, "crypto.handshake.pieces": ""})
		checkRoot(t, &trees[1], map[string]string{"tls.group.name": "x25519", "crypto.source": "wire", "crypto.handshake.pieces": ""})
	}
}

// A handshake with a slow peer stays one tree, because it ends when package wire reports its end, not when it is idle.
func TestWireWaitsForASlowAnswer(t *testing.T) {
	t.Parallel()
	var trees []Tree
	m := newCollector(t, &trees)
	for i, ev := range append(wireHandshake(0x11ec), onWire(event.ContextEnd, wireRoot, 0)) {
		ev.Time = uint64(i+1) * uint64(10*time.Second)
		m.Handle(&ev)
		if i < 4 {
			m.Tick(ev.Time + uint64(9*time.Second))
		}
	}
	if len(trees) != 1 || m.Stats().OpenContexts != 0 {
		t.Fatalf("%d trees, %+v", len(trees), m.Stats())
	}
	checkRoot(t, &trees[0], map[string]string{"tls.group.name": "X25519MLKEM768", "crypto.context.end": "observed"})
}

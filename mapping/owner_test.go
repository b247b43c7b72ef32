// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"fmt"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/mapping/contexts"
	"github.com/crau-otel/crau-otel/mapping/policy"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// as sets the process that further events come from: one of the user's. Each process id always belongs to the same
// user.
func (f *feed) as(user, process uint32) *feed {
	f.PID = user*1000 + process
	f.TID = f.PID
	return f
}

func (f *feed) start(user, process uint32) *feed {
	f.as(user, process).Event(event.Event{Kind: event.ProcessStart, Process: event.Process{
		Executable: fmt.Sprint("user", user), StartTime: uint64(process) + 1, UID: user,
	}})
	return f
}

// attack maps 40 handshakes of a process of the user victim. Before each of their events, it calls between, which emits
// the attacker's events. It checks that all handshakes are complete and have the victim's service name.
func attack(t *testing.T, victim uint32, cfg Config, between func(f *feed, i int)) *feed {
	t.Helper()
	f := newFeed(t, cfg)
	f.start(victim, 0)
	steps := []func(id uint64){
		func(id uint64) { f.Open(id, none, name("tls::handshake_client"), w("tls::protocol_version", 0x0304)) },
		func(id uint64) { f.Open(id+100, id, name("tls::key_exchange"), w("tls::group", 0x11ec)) },
		func(id uint64) { f.Open(id+200, id+100, name("pk::derive"), s("pk::algorithm", "X25519")) },
		func(id uint64) { f.Open(id+300, id, name("tls::verify"), w("tls::signature_algorithm", 0x0403)) },
		func(id uint64) { f.Open(id+400, id+300, name("pk::verify"), s("pk::algorithm", "ECDSA")) },
	}
	n := 0
	for i := range uint64(40) {
		for _, step := range steps {
			between(f, n)
			n++
			f.as(victim, 0)
			step(1000 + i)
		}
	}
	f.finish()
	whole := 0
	for _, tree := range f.trees {
		service, _ := tree.Resource.Set().Value("service.name")
		if service.AsString() != fmt.Sprint("user", victim) {
			continue
		}
		if attrs := attributeMap(tree.Spans[0].Attributes()); len(tree.Spans) == 5 && attrs["crypto.incomplete"] == "" &&
			attrs["crypto.pqc.key_exchange.status"] == "hybrid" && attrs["crypto.pqc.authentication.status"] == "classical" {
			whole++
		}
	}
	if whole != 40 {
		t.Errorf("%d of 40 handshakes are whole, right and named", whole)
	}
	return f
}

func evictions(f *feed) map[string]uint64 {
	m := make(map[string]uint64)
	e := f.m.Stats().Evictions
	e.Each(func(limit contexts.Limit, class contexts.OwnerClass, trees uint64) {
		if trees > 0 {
			m[limit.String()+" "+class.String()] = trees
		}
	})
	return m
}

func wantOnlyEvicted(t *testing.T, f *feed, of string) {
	t.Helper()
	if got := evictions(f); len(got) != 1 || got[of] == 0 || got[of] != f.m.Stats().Evicted {
		t.Errorf("evictions are %v, want only of %s", got, of)
	}
}

func TestBareContextsCostTheirOwnerOnly(t *testing.T) {
	for _, victim := range []uint32{0, 33, 1001} {
		f := attack(t, victim, Config{MaxOpenContexts: 1000}, func(f *feed, i int) {
			if i == 0 {
				f.start(1000, 1)
			}
			for j := range 100 {
				f.as(1000, 1).Open(uint64(i*100+j), none)
			}
		})
		wantOnlyEvicted(t, f, "open_contexts user")
	}
}

// An eighth of each limit is reserved for root, so 200 other owners cannot cause evictions of root's trees.
func TestRootKeepsAPart(t *testing.T) {
	f := attack(t, 0, Config{MaxOpenContexts: 2000}, func(f *feed, i int) {
		for user := uint32(1000); user < 1200; user++ {
			if i == 0 {
				f.start(user, 1)
			}
			f.as(user, 1).Open(uint64(i), none)
		}
	})
	wantOnlyEvicted(t, f, "open_contexts user")
}

func TestLargeDataCostTheirOwnerOnly(t *testing.T) {
	f := attack(t, 1001, Config{MaxOpenBytes: 1 << 20}, func(f *feed, i int) {
		if i == 0 {
			f.start(1000, 1)
		}
		f.as(1000, 1).Open(uint64(i), none)
		for j := range 100 {
			f.Data(uint64(i), s(fmt.Sprint("app::k", j), fmt.Sprintf("%0250d", i*100+j)))
		}
	})
	wantOnlyEvicted(t, f, "open_bytes user")
}

// An attacker with many processes causes no evictions of the victim's process. An evicted process would lose its name
// too, because the kernel does not send its ProcessStart again.
func TestManyProcessesCostTheirOwnerOnly(t *testing.T) {
	for _, victim := range []uint32{0, 33, 1001} {
		f := attack(t, victim, Config{MaxProcesses: 64}, func(f *feed, i int) {
			f.start(1000, uint32(i)+1).Open(1, none)
		})
		wantOnlyEvicted(t, f, "processes user")
	}
}

// An evicted handshake has crypto.incomplete, and its missing statuses are unknown instead of absent.
func TestEvictedTreesSayWhatIsMissing(t *testing.T) {
	p, err := policy.New(policy.Config{Name: "hybrid-ok"})
	if err != nil {
		t.Fatal(err)
	}
	f := newFeed(t, Config{MaxOpenContexts: 3, Rules: Rules{Policy: p}})
	f.Open(hs, none, name("tls::handshake_client"))
	for i := range uint64(10) {
		f.Open(obj+i, none, name("app::filler"))
	}
	f.finish()
	for _, tree := range f.trees {
		if tree.Spans[0].Name != "tls::handshake" {
			continue
		}
		wantAttrs(t, attributeMap(tree.Spans[0].Attributes()), map[string]string{
			"crypto.context.end": "evicted", "crypto.incomplete": "true", "crypto.pqc.key_exchange.status": "unknown",
			"crypto.pqc.authentication.status": "unknown", "crypto.policy.violations": `["hybrid-ok/key-exchange"]`,
			"crypto.incomplete.missing": `["protocol_version","key_exchange","authentication"]`,
		})
	}
	if n := len(f.trees); n != 11 {
		t.Errorf("%d trees, want 11", n)
	}
}

// A handshake whose hits were lost in part has crypto.incomplete and lists what is missing.
func TestIncompleteHandshakesSayWhatIsMissing(t *testing.T) {
	f := newFeed(t, Config{})
	f.Open(hs, none, name("tls::handshake_client"), w("tls::protocol_version", 0x0304))
	f.Event(event.Event{Kind: event.Data, Context: hs, Lost: 3})
	wantAttrs(t, rootAttributes(t, f), map[string]string{
		"crypto.incomplete": "true", "crypto.incomplete.missing": `["key_exchange","authentication"]`,
		"crypto.pqc.key_exchange.status": "", "tls.resumed": "",
	})
}

// If Config.Owner returns the same owner for two users, they count as one. An owner is removed with its last process.
func TestOwnersOfTheAgent(t *testing.T) {
	asked := make(map[uint32]event.Process)
	f := newFeed(t, Config{Owner: func(pid uint32, record event.Process) Owner {
		asked[pid] = record
		return Owner{ID: "container a", Class: contexts.ClassContainer}
	}})
	f.start(1000, 1).Open(1, none)
	f.start(1001, 1).Open(1, none)
	if got := f.m.Stats().Owners; got != 1 {
		t.Errorf("%d owners, want 1", got)
	}
	if asked[1000001].UID != 1000 || asked[1001001].UID != 1001 {
		t.Errorf("asked about %v", asked)
	}
	f.Event(event.Event{Kind: event.ProcessExit})
	f.as(1000, 1).Event(event.Event{Kind: event.ProcessExit})
	f.as(0, 10).PID = 10
	f.Event(event.Event{Kind: event.ProcessExit})
	if got := f.m.Stats().Owners; got != 0 {
		t.Errorf("%d owners without processes", got)
	}
}

// A process that changes its user with an exec counts against the new user.
func TestExecChangesTheOwner(t *testing.T) {
	f := newFeed(t, Config{})
	start := func(uid uint32, time uint64) {
		f.Event(event.Event{Kind: event.ProcessStart, Process: event.Process{Executable: "su", UID: uid, StartTime: time}})
	}
	start(0, 1)
	f.Open(hs, none, name("app::root"))
	start(1000, 2)
	f.Open(hs, none, name("app::user"))
	f.finish()
	var classes []string
	for _, tree := range f.trees {
		classes = append(classes, attributeMap(tree.Spans[0].Attributes())["crypto.process.user_class"])
	}
	if fmt.Sprint(classes) != "[root regular]" || f.m.Stats().Owners != 1 {
		t.Errorf("classes %v, %d owners", classes, f.m.Stats().Owners)
	}
}

// The time per event does not grow with the number of open contexts, even for events that an attacker chooses.
func TestWorkDoesNotGrowWithWhatIsOpen(t *testing.T) {
	const n = 30_000
	for what, work := range map[string]func(f *feed){
		"hits are lost again and again while trees are open": func(f *feed) {
			for i := range uint64(n) {
				f.Open(1000+i, none)
			}
			for i := range uint64(n) {
				f.Event(event.Event{Kind: event.Data, Context: 1000, Lost: i + 1})
			}
		},
		"a deep tree is full": func(f *feed) {
			for i := range uint64(4095) {
				f.Open(1000+i, 1000+i-1)
			}
			for i := range uint64(n) {
				f.Open(9000+i, 1000+4094)
			}
		},
		"every context evicts another one of many owners": func(f *feed) {
			for user := range uint32(8000) {
				f.as(1000+user, 1).Open(1, none)
			}
			for i := range uint64(n) {
				f.as(1000, 1).Open(i, none)
			}
		},
	} {
		f := newFeed(t, Config{
			MaxOpenContexts: 40_000, Owner: func(pid uint32, _ event.Process) Owner { return Owner{ID: fmt.Sprint(pid)} },
		})
		f.m.cfg.Sink = func(Tree) {}
		start := time.Now()
		work(f)
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%s: %d events took %s", what, n, took)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"fmt"
	"testing"

	"github.com/crau-otel/crau-otel/mapping/contexts"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// A process is trusted if it belongs to root or a service and all of its code is trusted. What it reports, and whether
// the file with the probe is trusted, does not matter.
func TestTrustOfProcesses(t *testing.T) {
	owners := map[string]Owner{
		"root": {ID: "user 0", Class: contexts.ClassRoot}, "service": {ID: "user 33", Class: contexts.ClassSystem},
		"user": {ID: "user 1000", Class: contexts.ClassUser}, "container": {ID: "/docker/1", Class: contexts.ClassContainer},
	}
	for _, c := range []struct {
		owner string
		code  Code
		want  string
	}{
		{"root", CodeTrusted, "root"},
		{"root", CodeForeign, "foreign_code"},
		{"root", CodeUnknown, "unknown"},
		{"service", CodeTrusted, "system"},
		{"service", CodeForeign, "foreign_code"},
		{"service", CodeUnknown, "unknown"},
		{"user", CodeTrusted, "user"},
		{"user", CodeForeign, "user"},
		{"container", CodeTrusted, "container"},
		{"container", CodeUnknown, "container"},
		{"", CodeTrusted, "unknown"},
	} {
		owner := owners[c.owner]
		f := newMixed(t, Config{
			Owner: func(uint32, event.Process) Owner { return owner },
			Code:  func(uint32, event.Process, string) Code { return c.code },
		})
		if f.as(1000, 1); c.owner != "" {
			f.start(1000, 1)
		}
		f.from(libssl).Begin(hs, none, name("tls::handshake"))
		wantAttrs(t, rootAttributes(t, f), map[string]string{
			"crypto.process.trust": c.want, "crypto.owner.class": owner.Class.String(), "crypto.library.trusted": "true",
		})
		tree := f.trees[0]
		if string(tree.Trust) != c.want || tree.Owner != owner {
			t.Errorf("tree of %+v, trust %s", tree.Owner, tree.Trust)
		}
		for _, op := range tree.Operations {
			if op.Library.String() != "true" {
				t.Errorf("operation %s: library %q", op.Name, op.Library)
			}
		}
	}
}

// The trust in a process is determined again after a second, and when the process executes another program.
func TestTrustIsAskedAgain(t *testing.T) {
	asked, code := 0, CodeTrusted
	f := newFeed(t, Config{Code: func(uint32, event.Process, string) Code {
		asked++
		return code
	}})
	f.start(0, 1)
	tree := func() {
		f.Begin(hs, none, name("app::work"))
		f.Data(hs, w("app::n", 1))
	}
	for range 10 {
		tree()
	}
	f.Now += 2 * sec
	code = CodeForeign
	tree()
	tree()
	f.Event(event.Event{Kind: event.ProcessStart, Process: event.Process{Executable: "other", StartTime: 7}})
	code = CodeTrusted
	tree()
	f.finish()
	var trust []string
	for _, tree := range f.trees {
		if n := len(trust); n == 0 || trust[n-1] != string(tree.Trust) {
			trust = append(trust, string(tree.Trust))
		}
	}
	if got := fmt.Sprint(trust); got != "[root foreign_code root]" || asked != 3 {
		t.Errorf("trust is %s, asked %d times", got, asked)
	}
}

// A file that only the root of a mount namespace can write is not trusted, and an attribute shows why.
func TestTrustInNamespaceIsAnAttribute(t *testing.T) {
	for lib, want := range map[Library]map[string]string{
		{Trusted: true}:            {"crypto.library.trusted": "true", "crypto.library.trusted_in_namespace": ""},
		{TrustedInNamespace: true}: {"crypto.library.trusted": "false", "crypto.library.trusted_in_namespace": "true"},
		{}:                         {"crypto.library.trusted": "false", "crypto.library.trusted_in_namespace": ""},
	} {
		wantAttrs(t, attributeMap(lib.Attributes()), want)
	}
}

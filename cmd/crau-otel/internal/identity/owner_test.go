// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/mapping/contexts"
	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// A process does not get another share of the limits by choosing its cgroup or user.
func TestNobodyGetsAnotherShareByChoosingCgroupOrUser(t *testing.T) {
	const slice = "/user.slice/user-1000.slice"
	container := "/docker/" + strings.Repeat("0123456789abcdef", 4)
	for _, c := range []struct {
		path  string
		uid   uint32
		want  string
		class contexts.OwnerClass
	}{
		{"/system.slice/nginx.service", 0, "user 0 in /system.slice/nginx.service", contexts.ClassRoot},
		{"/system.slice/nginx.service/worker", 33, "user 33 in /system.slice/nginx.service", contexts.ClassSystem},
		{"/system.slice/a.service", 61184, "user 61184 in /system.slice/a.service", contexts.ClassSystem},
		{"/system.slice/cron.service", 1000, "user 1000 in /system.slice/cron.service", contexts.ClassUser},
		{slice + "/session-1.scope", 1000, "user 1000 in " + slice, contexts.ClassUser},
		{slice + "/session-2.scope", 1000, "user 1000 in " + slice, contexts.ClassUser},
		{slice + "/user@1000.service/nginx.service", 1000, "user 1000 in " + slice, contexts.ClassUser},
		{slice + "/user@1000.service" + container, 1000, "user 1000 in " + slice, contexts.ClassUser},
		{slice + "/user@1000.service/x", 100000, "user 1000 in " + slice, contexts.ClassUser},
		{slice + "/user@1000.service/x", 165535, "user 1000 in " + slice, contexts.ClassUser},
		{slice + "/session-1.scope", 0, "user 0 in " + slice, contexts.ClassRoot}, // as with sudo(8)
		{container, 0, container, contexts.ClassContainer},
		{container + "/a/nginx.service", 100033, container, contexts.ClassContainer},
		{"/", 1000, "user 1000", contexts.ClassUser},
		{"", 65534, "user 65534", contexts.ClassUser},
		{"/", 200000, "users from 196608", contexts.ClassUser},
		{"/", 200001, "users from 196608", contexts.ClassUser},
	} {
		if got := ownerAt(host.Locate(c.path), c.uid); got != (mapping.Owner{ID: c.want, Class: c.class}) {
			t.Errorf("user %d in %s: %+v", c.uid, c.path, got)
		}
	}
	if got := resolver(t).Owner(1<<30, event.Process{}); got != (mapping.Owner{ID: "unknown"}) {
		t.Errorf("without a record: %+v", got)
	}
}

// A forged name is reported as nested. It matches no service, and results in another instance id.
func TestForgedNamesMatchNothing(t *testing.T) {
	const user = "/user.slice/user-1000.slice/user@1000.service"
	container := strings.Repeat("0123456789abcdef", 4)
	p := event.Process{Executable: "gone"}
	instances := make(map[string]bool)
	for _, c := range []struct{ path, container, unit, nestedContainer, nestedUnit string }{
		{"/docker/" + container, container, "", "", ""},
		{"/system.slice/nginx.service", "", "nginx.service", "", ""},
		{user + "/docker/" + container, "", "user@1000.service", container, ""},
		{user + "/nginx.service", "", "user@1000.service", "", "nginx.service"},
		{"/docker/" + container + "/nginx.service", container, "", "", "nginx.service"},
	} {
		got := resolver(t).describe(1<<30, p, host.Locate(c.path))
		for key, want := range map[string]string{
			"container.id": c.container, "systemd.unit": c.unit,
			"crau.nested.container.id": c.nestedContainer, "crau.nested.systemd.unit": c.nestedUnit,
		} {
			found := ""
			for _, a := range got {
				if string(a.Key) == key {
					found = a.Value.AsString()
				}
			}
			if found != want {
				t.Errorf("%s: %s is %q, want %q", c.path, key, found, want)
			}
		}
		instances[value(got, "service.instance.id")] = true
	}
	if len(instances) != 5 {
		t.Errorf("%d instances of 5", len(instances))
	}
}

// If an owner executes more files than its share of the cache, the build ids of other owners stay in the cache.
func TestBuildIDsHaveShares(t *testing.T) {
	b := newBuilds(nil)
	b.remember("victim", executable{1, 1}, "id")
	for i := range uint64(2 * maxBuilds) {
		b.remember("attacker", executable{2, i}, "other")
	}
	if b.known[executable{1, 1}] != "id" || len(b.known) != 1+maxOwnerBuilds {
		t.Errorf("%q of %d", b.known[executable{1, 1}], len(b.known))
	}
	for i := range uint64(2 * maxBuilds) {
		b.remember(strings.Repeat("x", int(i%1000)), executable{3, i}, "other")
	}
	if len(b.known) > maxBuilds {
		t.Errorf("%d are remembered", len(b.known))
	}
}

// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"log/slog"
	"path/filepath"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/tracer/event"
)

func resolver(t testing.TB) *Resolver {
	t.Helper()
	r := New(Config{
		Host: sdkresource.NewSchemaless(attribute.String("host.name", "web-1"), attribute.String("host.id", "4711")),
		Log:  slog.New(slog.DiscardHandler),
	})
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func value(attrs []attribute.KeyValue, key attribute.Key) string {
	for _, kv := range attrs {
		if kv.Key == key {
			return kv.Value.String()
		}
	}
	return ""
}

func TestServicesAreNamedByTheFirstRuleThatMatches(t *testing.T) {
	r := resolver(t).With([]config.Service{
		{Name: "both", Executable: "ng*", Unit: "web-?.service"},
		{Name: "executable", Executable: "nginx"},
		{Name: "unit", Unit: "web-?.service"},
	}, false)
	for _, c := range []struct{ executable, unit, want string }{
		{"nginx", "web-1.service", "both"},
		{"nginx", "other.service", "executable"},
		{"nginx", "", "executable"},
		{"curl", "web-1.service", "unit"},
		{"curl", "web-10.service", ""},
		{"curl", "", ""},
	} {
		if got := r.service(c.executable, c.unit); got != c.want {
			t.Errorf("%s in %q: service %q, want %q", c.executable, c.unit, got, c.want)
		}
	}
}

// The instance id stays the same between runs. It differs between hosts, between programs and, with privacy.process:
// full, between processes.
func TestInstanceIsStable(t *testing.T) {
	p := event.Process{Executable: "gone", StartTime: 1}
	describe := func(full bool, pid uint32, p event.Process) string {
		return value(resolver(t).With(nil, full).Describe(pid, p), "service.instance.id")
	}
	first := describe(false, 1<<30, p)
	// A version 5 UUID of host.id, the empty path of a cgroup, and the executable "gone".
	if first != "65588882-9183-5417-9fb0-481284b54c49" {
		t.Errorf("instance %s", first)
	}
	if other := describe(false, 1<<30-1, p); other != first {
		t.Errorf("another process of the program is %s, not %s", other, first)
	}
	if other := describe(false, 1<<30, event.Process{Executable: "other", StartTime: 1}); other == first {
		t.Error("another program is the same instance")
	}
	full := describe(true, 1<<30, p)
	if other := describe(true, 1<<30-1, p); other == full || full == first {
		t.Errorf("two processes have the instances %s and %s", full, other)
	}
}

func TestBuildIDIsRememberedByFile(t *testing.T) {
	r := resolver(t)
	pid, path := wait(t, "program")
	p := event.Process{StartTime: started(t, pid), Executable: filepath.Base(path), ExeInode: 7, ExeDevice: 8}
	id := ""
	for range 100 { // the first answers may take longer than patience
		if id = value(r.Describe(pid, p), "process.executable.build_id.gnu"); id != "" {
			break
		}
	}
	want, ok := readBuildID(pid)
	if !ok || id != want {
		t.Errorf("build id %q, want %q", id, want)
	}
	if got := value(r.Describe(1<<30, p), "process.executable.build_id.gnu"); got != want {
		t.Errorf("of a process that has ended: %q, want %q", got, want)
	}
	p.ExeInode = 9
	if got := value(r.Describe(1<<30, p), "process.executable.build_id.gnu"); got != "" {
		t.Errorf("of another file that is not known: %q", got)
	}
}

func BenchmarkDescribe(b *testing.B) {
	r := resolver(b)
	p := event.Process{StartTime: 1, Executable: "gone"}
	for b.Loop() {
		r.Describe(1<<30, p)
	}
}

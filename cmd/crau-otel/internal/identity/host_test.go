// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
)

// hostWith writes files of a host into a temporary folder, and returns the folder.
func hostWith(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const (
	etcID  = "etc/machine-id"
	dbusID = "var/lib/dbus/machine-id"
	boot   = "proc/sys/kernel/random/boot_id"
)

func TestHostID(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "")
	const first, second = "fdbf79e8af94cb7f9e8df36789187052", "0123456789abcdef0123456789abcdef"
	for _, c := range []struct {
		files map[string]string
		want  string
	}{
		{map[string]string{etcID: first + "\n", dbusID: second}, first},
		{map[string]string{dbusID: second}, second},
		{map[string]string{etcID: "", dbusID: second}, second},
		{map[string]string{etcID: ""}, ""},
		{map[string]string{etcID: "\n"}, ""},
		{map[string]string{etcID: "uninitialized\n"}, ""},
		{map[string]string{etcID: "00000000000000000000000000000000\n"}, ""},
		{map[string]string{etcID: first + first}, ""},
		{map[string]string{etcID: "FDBF79E8AF94CB7F9E8DF36789187052"}, ""},
		{map[string]string{etcID: "\xff\xfe"}, ""},
		{nil, ""},
	} {
		host := Host(t.Context(), hostWith(t, c.files), slog.New(slog.DiscardHandler))
		id, ok := host.Set().Value("host.id")
		if id.AsString() != c.want || ok != (c.want != "") {
			t.Errorf("%v: host.id is %q, %v; want %q", c.files, id.AsString(), ok, c.want)
		}
	}
}

// Two hosts with the same name and without a machine-id get different ids, because their boot ids differ.
func TestHostsWithoutAnIDDiffer(t *testing.T) {
	t.Parallel()
	named := sdkresource.NewSchemaless(attribute.String("host.name", "localhost"))
	first := identify(named, hostWith(t, map[string]string{boot: "6f1d3b0e-1111-4a4b-8b8c-000000000001\n"}))
	second := identify(named, hostWith(t, map[string]string{boot: "6f1d3b0e-1111-4a4b-8b8c-000000000002\n"}))
	if first == second {
		t.Errorf("both are %q", first)
	}
	empty := sdkresource.NewSchemaless(attribute.String("host.name", "localhost"), attribute.String("host.id", ""))
	if again := identify(empty, hostWith(t, map[string]string{boot: "6f1d3b0e-1111-4a4b-8b8c-000000000001"})); again != first {
		t.Errorf("with an empty host.id it is %q, want %q", again, first)
	}
	with := sdkresource.NewSchemaless(attribute.String("host.name", "localhost"), attribute.String("host.id", "4711"))
	if id := identify(with, "/"); id != "4711" {
		t.Errorf("with a host.id it is %q", id)
	}
}

// The service.instance.id distinguishes agents on hosts that have the same name and no machine-id. An agent that is
// restarted keeps its id.
func TestAgentsOnHostsWithoutAnIDDiffer(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "")
	first := hostWith(t, map[string]string{etcID: "uninitialized\n", boot: "6f1d3b0e-1111-4a4b-8b8c-000000000001\n"})
	second := hostWith(t, map[string]string{etcID: "", boot: "6f1d3b0e-1111-4a4b-8b8c-000000000002\n"})
	id := func(root, attributes string) string {
		t.Setenv("OTEL_RESOURCE_ATTRIBUTES", attributes)
		agent, err := Agent(Host(t.Context(), root, slog.New(slog.DiscardHandler)), root, "1.2.3")
		if err != nil {
			t.Fatal(err)
		}
		got := agent.Set()
		name, _ := got.Value("service.name")
		version, _ := got.Value("service.version")
		if name.AsString() != "crau-otel" || version.AsString() != "1.2.3" {
			t.Errorf("resource is %v", agent)
		}
		id, _ := got.Value("service.instance.id")
		return id.AsString()
	}
	one, again, other := id(first, ""), id(first, ""), id(second, "")
	if err := uuid.Validate(one); err != nil || one != again || one == other {
		t.Errorf("the same host has %q and %q, another %q", one, again, other)
	}
	if chosen := id(first, "service.instance.id=mine"); chosen != "mine" {
		t.Errorf("the environment's id became %q", chosen)
	}
}

func TestTextOfTheHostIsUTF8(t *testing.T) {
	t.Parallel()
	r := validText(sdkresource.NewSchemaless(attribute.String("host.name", "web\xff1"), attribute.Int("n", 1)))
	name, _ := r.Set().Value("host.name")
	if !utf8.ValidString(name.AsString()) || name.AsString() != "web\uFFFD1" || r.Len() != 2 {
		t.Errorf("resource is %v", r)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/mapping/registry"
	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/probes/discover"
)

func TestOTLPDefaults(t *testing.T) {
	for _, c := range []struct {
		env      map[string]string
		insecure bool
		err      string
	}{
		{nil, true, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4317"}, false, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4317"}, false, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://collector:4317"}, true, ""}, // not the traces'
		{map[string]string{"OTEL_EXPORTER_OTLP_INSECURE": "false"}, false, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, true, ""},
		{
			map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
			false,
			`OTEL_EXPORTER_OTLP_PROTOCOL: only grpc is supported, got "http/protobuf"`,
		},
		{
			map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4317"},
			false,
			`OTEL_EXPORTER_OTLP_ENDPOINT: must start with http:// or https://, got "localhost:4317"`,
		},
		{map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, true, ""},
	} {
		for _, name := range []string{"ENDPOINT", "INSECURE", "PROTOCOL", "TRACES_ENDPOINT", "TRACES_INSECURE", "TRACES_PROTOCOL"} {
			name = "OTEL_EXPORTER_OTLP_" + name
			t.Setenv(name, c.env[name])
		}
		insecure, err := otlpDefaults("TRACES")
		if got := errorText(err); got != c.err || insecure != c.insecure {
			t.Errorf("%v: insecure is %v, error %q; want %v, %q", c.env, insecure, got, c.insecure, c.err)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestLogger(t *testing.T) {
	for _, c := range []struct {
		cfg  config.Log
		want string
	}{
		{config.Log{Level: "info", Format: "text"}, "level=INFO msg=b key=\"c d\"\n"},
		{config.Log{Level: "info", Format: "json"}, `"level":"INFO","msg":"b","key":"c d"}` + "\n"},
		{config.Log{Level: "debug", Format: "text"}, "level=DEBUG msg=a"},
		{config.Log{Level: "warn", Format: "text"}, ""},
	} {
		var out bytes.Buffer
		log, _ := newLogger(&out, c.cfg)
		log.Debug("a")
		log.Info("b", "key", "c d")
		if got := out.String(); !strings.Contains(got, c.want) || c.want == "" && got != "" ||
			c.cfg.Level == "info" && strings.Count(got, "\n") != 1 {
			t.Errorf("%+v: logged %q, want %q", c.cfg, got, c.want)
		}
	}
}

func TestKeep(t *testing.T) {
	violating := mapping.Tree{Operations: []mapping.Operation{{Status: registry.Hybrid}, {Violations: []string{"own"}}}}
	for _, c := range []struct {
		kinds []string
		tree  mapping.Tree
		want  bool
	}{
		{nil, violating, false},
		{nil, mapping.Tree{Downgraded: true, Weak: true}, false},
		{[]string{"violations"}, violating, true},
		{[]string{"violations"}, mapping.Tree{Downgraded: true, Weak: true, Operations: violating.Operations[:1]}, false},
		{[]string{"downgrades"}, mapping.Tree{Downgraded: true}, true},
		{[]string{"downgrades"}, mapping.Tree{Weak: true}, false},
		{[]string{"weak"}, mapping.Tree{Weak: true}, true},
		{[]string{"weak"}, mapping.Tree{Downgraded: true}, false},
		{[]string{"violations", "downgrades", "weak"}, mapping.Tree{}, false},
		{[]string{"violations", "downgrades", "weak"}, violating, true},
	} {
		if got := keep(c.kinds)(c.tree); got != c.want {
			t.Errorf("keep %v: %v of %+v", c.kinds, got, c.tree)
		}
	}
}

func TestDescribeLibrary(t *testing.T) {
	for _, c := range []struct {
		path, soname  string
		name, version string
	}{
		{"/usr/lib/libgnutls.so.30.42.0", "libgnutls.so.30", "libgnutls.so.30", "30.42.0"},
		{"/usr/lib/libgnutls.so.30.42.0", "", "libgnutls.so.30.42.0", "30.42.0"},
		{"/usr/lib/libfoo.so", "libfoo.so.1", "libfoo.so.1", ""},
		{"/bin/sample", "", "sample", ""},
	} {
		got := describeLibrary(&discover.File{
			Path: c.path, Probes: &probes.File{Soname: c.soname, BuildID: "abc"}, Trusted: true,
		})
		if want := (mapping.Library{Name: c.name, Path: c.path, Version: c.version, BuildID: "abc", Trusted: true}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestPprof(t *testing.T) {
	var log bytes.Buffer
	stop, err := servePprof("127.0.0.1:0", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	_, url, _ := strings.Cut(log.String(), "address=")
	url = strings.TrimSpace(url)
	resp, err := http.Get(url)
	if err != nil {
		t.Fatalf("%v; the log has\n%s", err, &log)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "goroutine") {
		t.Errorf("%v, status %s:\n%s", err, resp.Status, body)
	}
	address := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/debug/pprof/")
	if _, err := servePprof(address, slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), "pprof: ") ||
		!strings.Contains(err.Error(), address) {
		t.Errorf("on an address in use: %v", err)
	}
	stop()
	if resp, err := http.Get(url); err == nil {
		_ = resp.Body.Close()
		t.Error("profiles are still served")
	}
}

func TestBuildVersion(t *testing.T) {
	if got := buildVersion(); got == "" {
		t.Error("no version")
	}
	version = "v1.2.3"
	defer func() { version = "" }()
	if got := buildVersion(); got != "v1.2.3" {
		t.Errorf("version is %s", got)
	}
}

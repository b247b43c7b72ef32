// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// setenv sets the variables in env, and unsets all other variables of the exporter.
func setenv(t *testing.T, env map[string]string) {
	t.Helper()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, prefix) {
			t.Setenv(name, "")
		}
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
}

func TestEndpointsAreParsedOrRefusedByName(t *testing.T) {
	for _, c := range []struct {
		env    map[string]string
		target string
		tls    bool
		err    string
	}{
		{nil, "localhost:4317", false, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4317"}, "collector:4317", true, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4317"}, "collector:4317", false, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://metrics:4317"}, "localhost:4317", false, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_INSECURE": "false"}, "localhost:4317", true, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_TRACES_INSECURE": "FALSE"}, "localhost:4317", true, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "localhost:4317", false, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "GRPC"}, "localhost:4317", false, ""},
		{
			map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
			"", false,
			`OTEL_EXPORTER_OTLP_PROTOCOL: only grpc is supported, got "http/protobuf"`,
		},
		{
			map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
			"localhost:4317", false, "",
		},
		{
			map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"},
			"", false,
			`OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: only grpc is supported, got "http/json"`,
		},
		{
			map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4317"},
			"", false,
			`OTEL_EXPORTER_OTLP_ENDPOINT: must start with http:// or https://, got "localhost:4317"`,
		},
		{
			map[string]string{"OTEL_EXPORTER_OTLP_INSECURE": "yes"},
			"", false,
			`OTEL_EXPORTER_OTLP_INSECURE: must be true or false, got "yes"`,
		},
	} {
		setenv(t, c.env)
		s, err := readSettings(signalTraces)
		if fmt.Sprint(err) != c.err && (err != nil || c.err != "") || err == nil && (s.target != c.target || s.tls != c.tls) {
			t.Errorf("%v: %+v, error %v; want %+v", c.env, s, err, c)
		}
	}
	for _, c := range []struct {
		endpoint, target string
		tls              bool
		err              string // error text after the name of the variable
	}{
		{"HTTPS://Collector:4317", "Collector:4317", true, ""},
		{"Http://127.0.0.1:1/", "127.0.0.1:1", false, ""},
		{" http://[::1]:65535 ", "[::1]:65535", false, ""},
		{"http://collector", "collector:80", false, ""},
		{"https://[::1]", "[::1]:443", true, ""},
		{"https://collector:", "collector:443", true, ""},
		{"https://host:43l7", "", false, `invalid port ":43l7" after host, got "https://host:43l7"`},
		{"http://[::1", "", false, `missing ']' in host, got "http://[::1"`},
		{"http://", "", false, `has no host, got "http://"`},
		{"http://:4317", "", false, `has no host, got "http://:4317"`},
		{"https://host:99999", "", false, `port must be 1 to 65535, got "https://host:99999"`},
		{"https://host:0", "", false, `port must be 1 to 65535, got "https://host:0"`},
		{"grpc://host:4317", "", false, `must start with http:// or https://, got "grpc://host:4317"`},
		{"http:host:4317", "", false, `must start with http:// or https://, got "http:host:4317"`},
		{"https://host:4318/v1/traces", "", false, `must have only a host and a port after the scheme: OTLP over gRPC has no ` +
			`path, got "https://host:4318/v1/traces"`},
		{"https://me:secret@host:4317", "", false, `must have only a host and a port after the scheme: OTLP over gRPC has no ` +
			`path, got "https://...@host:4317"`},
		{"https://host:4317?key=secret", "", false, `must have only a host and a port after the scheme: OTLP over gRPC has no ` +
			`path, got "https://host:4317?..."`},
		{"https://me:sec/ret@host:4317", "", false, `is no URL, got "https://...@host:4317"`},
		{"https://me:sec%ret?@host", "", false, `is no URL, got "https://...@host"`},
		{"grpc://me:secret@host", "", false, `must start with http:// or https://, got "grpc://...@host"`},
		{"me:secret@host:4317", "", false, `must start with http:// or https://, got "...@host:4317"`},
	} {
		setenv(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.endpoint})
		s, err := readSettings(signalTraces)
		if c.err != "" {
			if want := "OTEL_EXPORTER_OTLP_ENDPOINT: " + c.err; err == nil || err.Error() != want {
				t.Errorf("%s: error is %v, want %s", c.endpoint, err, want)
			}
			continue
		}
		if err != nil || s.target != c.target || s.tls != c.tls {
			t.Errorf("%s: %+v, error %v; want %+v", c.endpoint, s, err, c)
		}
	}
}

func TestVariablesOfTheConnectionAreParsedOrRefusedByName(t *testing.T) {
	const name = "OTEL_EXPORTER_OTLP_"
	for _, c := range []struct {
		name, value string
		want        string // compression, timeout and headers
		err         string
	}{
		{"", "", "false 10s map[]", ""},
		{"COMPRESSION", "GZIP", "true 10s map[]", ""},
		{"COMPRESSION", "None", "false 10s map[]", ""},
		{"COMPRESSION", "zstd", "", `must be gzip or none, got "zstd"`},
		{"TIMEOUT", "1500", "false 1.5s map[]", ""},
		{"TIMEOUT", "0", "false 0s map[]", ""},
		{"TIMEOUT", "10s", "", `must be a number of milliseconds, got "10s"`},
		{"TIMEOUT", "-1", "", `must be a number of milliseconds, got "-1"`},
		{"HEADERS", "Authorization=Bearer%20x, a = b ,", "false 10s map[a:[b] authorization:[Bearer x]]", ""},
		{"HEADERS", "token secret", "", `must be name=value pairs, separated by commas; number 1 is not`},
		{"HEADERS", "a=%zz", "", `the value of "a" must be percent-encoded printable ASCII text`},
		{"HEADERS", "a=x%0ay", "", `the value of "a" must be percent-encoded printable ASCII text`},
		{"HEADERS", "a=caf%C3%A9", "", `the value of "a" must be percent-encoded printable ASCII text`},
		{"HEADERS", "a=x%09y", "", `the value of "a" must be percent-encoded printable ASCII text`},
		{"HEADERS", "a!=b", "", `must be name=value pairs, separated by commas; number 1 is not`},
		{"HEADERS", "A-b_c.9=x%20~,d-bin=%00%ff", "false 10s map[a-b_c.9:[x ~] d-bin:[\x00\xff]]", ""},
	} {
		setenv(t, nil)
		if c.name != "" {
			t.Setenv(name+c.name, c.value)
		}
		s, err := readSettings(signalTraces)
		if c.err != "" {
			if want := name + c.name + ": " + c.err; err == nil || err.Error() != want {
				t.Errorf("%s=%s: error is %v, want %s", c.name, c.value, err, want)
			}
			continue
		}
		if got := fmt.Sprintf("%v %v %v", s.compress, s.timeout, map[string][]string(s.headers)); err != nil || got != c.want {
			t.Errorf("%s=%s: %s, error %v; want %s", c.name, c.value, got, err, c.want)
		}
	}
}

// A variable for one signal applies to that signal only, and takes precedence over the variable for all signals.
func TestVariableOfASignalDecidesForThatSignalOnly(t *testing.T) {
	setenv(t, map[string]string{
		prefix + "TIMEOUT": "1", prefix + "TRACES_TIMEOUT": "2", prefix + "METRICS_TIMEOUT": "3", prefix + "COMPRESSION": "gzip",
		prefix + "METRICS_COMPRESSION": "none",
	})
	for signal, want := range map[string]settings{
		signalTraces:  {timeout: 2 * time.Millisecond, compress: true},
		signalMetrics: {timeout: 3 * time.Millisecond},
	} {
		if got, err := readSettings(signal); err != nil || got.timeout != want.timeout || got.compress != want.compress {
			t.Errorf("%s: %+v, error %v", signal, got, err)
		}
	}
}

// A proxy whose URL is invalid is an error, unless no proxy would be used for the target, because the target is on this
// host or in NO_PROXY.
func TestProxiesThatCannotBeUsed(t *testing.T) {
	const bad = "%s: must be a URL such as http://proxy:3128"
	for _, c := range []struct{ name, value, no, endpoint, err string }{
		{"HTTPS_PROXY", "http://proxy:3128", "", "http://collector:4317", ""},
		{"HTTPS_PROXY", "proxy:3128", "", "http://collector:4317", ""},
		{"HTTPS_PROXY", "http://me:secret@proxy", "", "https://collector:4317", ""},
		{"HTTPS_PROXY", ":::", "", "http://collector:4317", bad},
		{"https_proxy", "http://me:secret@proxy:31x8", "", "https://collector:4317", bad},
		{"HTTPS_PROXY", "http://[::1", "", "http://collector:4317", bad},
		{"HTTPS_PROXY", "http://", "", "http://collector:4317", bad},
		{"HTTPS_PROXY", ":::", "collector", "http://collector:4317", ""},
		{"HTTPS_PROXY", ":::", "", "http://localhost:4317", ""},
	} {
		setenv(t, map[string]string{
			"HTTPS_PROXY": "", "https_proxy": "", "NO_PROXY": c.no, "no_proxy": "", prefix + "ENDPOINT": c.endpoint,
		})
		t.Setenv(c.name, c.value)
		want := "<nil>"
		if c.err != "" {
			want = fmt.Sprintf(c.err, c.name)
		}
		if _, err := readSettings(signalMetrics); fmt.Sprint(err) != want {
			t.Errorf("%+v: error is %v, want %s", c, err, want)
		}
	}
}

func TestEverythingWrongIsReportedAtOnce(t *testing.T) {
	setenv(t, map[string]string{prefix + "ENDPOINT": "host", prefix + "COMPRESSION": "x", prefix + "TIMEOUT": "y", prefix + "HEADERS": "z"})
	_, err := readSettings(signalTraces)
	if n := strings.Count(fmt.Sprint(err), "\n"); n != 3 {
		t.Errorf("error is %v", err)
	}
}

func TestCertificateFilesThatCannotBeUsed(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, value, want string }{
		{"CERTIFICATE", "/nonexistent", "CERTIFICATE: open /nonexistent: no such file or directory"},
		{"CERTIFICATE", empty, "CERTIFICATE: " + empty + " has no certificate in PEM format"},
		{"CLIENT_KEY", empty, "CLIENT_KEY: is set without OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"},
		{"CLIENT_CERTIFICATE", empty, "CLIENT_CERTIFICATE: is set without OTEL_EXPORTER_OTLP_CLIENT_KEY"},
	} {
		setenv(t, map[string]string{prefix + "ENDPOINT": "https://host:1", prefix + c.name: c.value})
		if _, err := readSettings(signalTraces); err == nil || err.Error() != prefix+c.want {
			t.Errorf("error is %v, want %s", err, c.want)
		}
	}
}

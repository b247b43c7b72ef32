// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// A mistake of the user is reported in one line that names the mistake, and nothing else is printed.
func TestMistakesAreNamedInOneLine(t *testing.T) {
	t.Parallel()
	unknownKey := write(t, "config.yaml", "exporter: none\nspans:\n  idle: 3s\n")
	wrongType := write(t, "config.yaml", "limits:\n  open_contexts: many\n")
	wrongValue := write(t, "config.yaml", "\nring:\n  size: 3MiB\n")
	badRule := write(t, "config.yaml", "policy:\n  rules:\n    - name: mine\n      attribute: tls.group.name\n"+
		"      operator: near\n      value: X25519\n")
	badPolicy := write(t, "config.yaml", "policy:\n  name: strict\n")
	noYAML := write(t, "config.yaml", "exporter: [none\n")
	dir := t.TempDir()
	for _, c := range []struct {
		name string
		env  []string
		args []string
		want string // regular expression for the whole output
	}{
		{"unknown flag", nil, []string{"run", "--libraries", "x"}, `unknown flag: --libraries`},
		{"unknown global flag", nil, []string{"--nonsense"}, `unknown flag: --nonsense`},
		{"unknown subcommand", nil, []string{"trace"}, `unknown command "trace" for "crau-otel"`},
		{"unknown argument", nil, []string{"run", "x"}, `unknown command "x" for "crau-otel run"`},
		{"missing value", nil, []string{"run", "--library"}, `flag needs an argument: --library`},
		{"missing file", nil, []string{"run", "--config", "/nonexistent.yaml"}, `--config: open /nonexistent.yaml: no such file or directory`},
		{
			"missing file in the environment",
			[]string{"CRAU_CONFIG=/nonexistent.yaml"},
			[]string{"run"},
			`CRAU_CONFIG: open /nonexistent.yaml: no such file or directory`,
		},
		{"folder", nil, []string{"run", "--config", dir}, `--config: read ` + dir + `: is a directory`},
		{"no YAML", nil, []string{"run", "--config", noYAML}, `--config: parse ` + noYAML + `: yaml: line \d: .*`},
		{"unknown key", nil, []string{"run", "--config", unknownKey}, unknownKey + `:3: spans\.idle: unknown key: .*idle_timeout.*`},
		{
			"wrong type", nil,
			[]string{"run", "--config", wrongType},
			wrongType + `:2: limits\.open_contexts: must be a whole number .*, got "many"`,
		},
		{
			"wrong value", nil,
			[]string{"run", "--config", wrongValue},
			wrongValue + `:3: ring\.size: must be a power of two, such as 2MiB or 4MiB, got 3MiB`,
		},
		{
			"bad rule", nil,
			[]string{"run", "--config", badRule},
			badRule + `:5: policy\.rules\[0\]\.operator: must be .*, got "near"`,
		},
		{
			"bad policy", nil,
			[]string{"run", "--config", badPolicy},
			badPolicy + `:2: policy\.name: must be .*, got "strict"`,
		},
		{
			"bad variable",
			[]string{"CRAU_SPANS_IDLE_TIMEOUT=soon"},
			[]string{"run"},
			`CRAU_SPANS_IDLE_TIMEOUT: spans\.idle_timeout: must be a duration such as 2s or 500ms, got "soon"`,
		},
		{
			"unknown variable",
			[]string{"CRAU_IDLE_TIMEOUT=2s"},
			[]string{"run"},
			`CRAU_IDLE_TIMEOUT: unknown variable: .*`,
		},
		{
			"standard variable",
			[]string{"OTEL_TRACES_EXPORTER=zipkin"},
			[]string{"run"},
			`OTEL_TRACES_EXPORTER: exporter: must be otlp, console or none, got "zipkin"`,
		},
		{"bad flag", nil, []string{"run", "--log-level", "loud"}, `--log-level: log\.level: must be debug, info, warn or error, got "loud"`},
		{
			"bad flag beats good variable",
			[]string{"CRAU_EXPORTER=none"},
			[]string{"run", "--exporter", "file"},
			`--exporter: exporter: must be otlp, console or none, got "file"`,
		},
		{"bad output", nil, []string{"probes", "--output", "xml", "x"}, `--output: must be text or json, got "xml"`},
		{"version of what", nil, []string{"version", "x"}, `unknown command "x" for "crau-otel version"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := crau(t, c.env, c.args...)
			if got.code != 1 || got.stdout != "" || !regexp.MustCompile(`^crau-otel: `+c.want+"\n$").MatchString(got.stderr) {
				t.Errorf("exit code %d\nstdout: %s\nstderr: %s\nwant code 1 and stderr %s", got.code, got.stdout, got.stderr, c.want)
			}
		})
	}
}

// A mistake in an OTEL_* variable is reported in one line. These variables are read after the BPF programs are loaded
// and before any file is attached.
func TestMistakesInOTelVariablesAreNamed(t *testing.T) {
	t.Parallel()
	harness.RequireBPF(t)
	for _, c := range []struct{ variable, want string }{
		{"OTEL_BSP_MAX_QUEUE_SIZE=lots", `OTEL_BSP_MAX_QUEUE_SIZE: must be a positive integer, got "lots"`},
		{"OTEL_TRACES_SAMPLER=sometimes", `OTEL_TRACES_SAMPLER: unknown sampler "sometimes"; use .*`},
		{"OTEL_METRICS_EXPORTER=prometheus", `OTEL_METRICS_EXPORTER: must be otlp or none, got "prometheus"`},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=http/json", `OTEL_EXPORTER_OTLP_PROTOCOL: only grpc is supported, got "http/json"`},
	} {
		got := crau(t, []string{c.variable}, "run", "--library", samplePath)
		if got.code != 1 || got.stdout != "" || !regexp.MustCompile(`(?m)^crau-otel: `+c.want+"\n$").MatchString(got.stderr) {
			t.Errorf("%s: exit code %d, stderr: %s\nwant code 1 and %s", c.variable, got.code, got.stderr, c.want)
		}
		if strings.Contains(got.stderr, "ready") {
			t.Errorf("%s: it was ready: %s", c.variable, got.stderr)
		}
	}
}

func TestRunWithoutAnythingToTraceFails(t *testing.T) {
	t.Parallel()
	harness.RequireBPF(t)
	got := crau(t, nil, "run")
	if got.code != 1 || got.stdout != "" || !strings.HasPrefix(got.stderr, "crau-otel: nothing to trace: ") ||
		strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, "--library") {
		t.Errorf("exit code %d, stderr: %s", got.code, got.stderr)
	}
}

func TestHelpExplainsCommandsAndFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"--help"}, {"help"}} {
		got := crau(t, nil, args...)
		for _, command := range []string{"run", "probes", "version"} {
			if got.code != 0 || !strings.Contains(got.stdout, "\n  "+command+" ") {
				t.Errorf("%v: exit code %d, %s is not explained:\n%s", args, got.code, command, got.stdout)
			}
		}
	}
	got := crau(t, nil, "run", "--help")
	for _, flag := range []string{"--library", "--exporter", "--config", "--log-level", "--policy"} {
		if got.code != 0 || !strings.Contains(got.stdout, flag+" ") {
			t.Errorf("run --help: exit code %d, %s is not explained:\n%s", got.code, flag, got.stdout)
		}
	}
}

func TestVersionNamesGoAndArchitecture(t *testing.T) {
	t.Parallel()
	got := crau(t, nil, "version")
	want := regexp.MustCompile(`^crau-otel \S+ go1\.\S+ linux/` + runtime.GOARCH + "\n$")
	if got.code != 0 || got.stderr != "" || !want.MatchString(got.stdout) {
		t.Errorf("exit code %d, stdout %q, stderr %q", got.code, got.stdout, got.stderr)
	}
}

// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// load loads the configuration from crau.yaml, which it creates with the content file unless file is empty, from
// environ, and from the flags args. The directory of crau.yaml is removed from the error text.
func load(t *testing.T, file string, environ []string, args ...string) (Config, error) {
	t.Helper()
	dir := t.TempDir()
	if file != "" {
		name := filepath.Join(dir, "crau.yaml")
		if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		environ = append([]string{"CRAU_CONFIG=" + name}, environ...)
	}
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	Flags(flags, Default())
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Default(), flags, environ)
	if err != nil {
		err = errors.New(strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), ""))
	}
	return c, err
}

func TestLoadPrecedence(t *testing.T) {
	t.Parallel()
	const file = `
log:
  level: debug
ring:
  size: 65536
  poll_interval: 5ms
limits:
  open_contexts: 10
  tree_spans: 11
libraries: [/file/a, /file/b, /file/c]
`
	environ := []string{
		"PATH=/bin",
		"CRAU_RING_SIZE=128KiB",
		"CRAU_LIMITS_OPEN_CONTEXTS=20",
		"CRAU_LIBRARIES=/env/a, /env/b",
		"CRAU_EXPORTER=console",
		"CRAU_SPANS_IDLE_TIMEOUT=4s",
		"CRAU_LOG_FORMAT=", // an empty variable counts as not set
	}
	args := []string{"--ring-size=256KiB", "--library=/flag/a,b", "--log-level", "error"}

	want := Default()
	check := func(layer string, got Config, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", layer, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", layer, got, want)
		}
	}
	got, err := load(t, "", nil)
	check("defaults", got, err)

	want.Log.Level = "debug"
	want.Ring = Ring{Size: 64 * KiB, PollInterval: 5 * time.Millisecond}
	want.Limits.OpenContexts, want.Limits.TreeSpans = 10, 11
	want.Libraries = []string{"/file/a", "/file/b", "/file/c"}
	got, err = load(t, file, nil)
	check("file", got, err)

	want.Ring.Size = 128 * KiB
	want.Limits.OpenContexts = 20
	want.Libraries = []string{"/env/a", "/env/b"}
	want.Exporter = ExporterConsole
	want.Spans.IdleTimeout = 4 * time.Second
	got, err = load(t, file, environ)
	check("environment", got, err)

	want.Ring.Size = 256 * KiB
	want.Libraries = []string{"/flag/a,b"}
	want.Log.Level = "error"
	got, err = load(t, file, environ, args...)
	check("flags", got, err)
}

func TestLoadConfigFlagOverVariable(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "flag.yaml")
	if err := os.WriteFile(name, []byte("exporter: none"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(t, "exporter: console", nil, "--config", name)
	if err != nil || c.Exporter != ExporterNone {
		t.Errorf("exporter %q, error %v", c.Exporter, err)
	}
}

func TestLoadMissingFile(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	Flags(flags, Default())
	name := filepath.Join(t.TempDir(), "none.yaml")
	_, err := Load(Default(), flags, []string{"CRAU_CONFIG=" + name})
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "CRAU_CONFIG: open "+name) {
		t.Errorf("error %v", err)
	}
}

func TestLoadNothingSet(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"blank":         "\n",
		"comment":       "# nothing\n",
		"document mark": "---\n",
		"null":          "null\n",
		"empty mapping": "{}\n",
		"empty section": "limits:\n  # open_contexts: 1\nlibraries:\n",
		"empty list":    "libraries: []\n",
	} {
		c, err := load(t, file, nil)
		if err != nil || !reflect.DeepEqual(c, Default()) {
			t.Errorf("%s: %+v, error %v", name, c, err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		file    string
		environ []string
		args    []string
		want    string
	}{
		{
			name: "unknown key in file",
			file: "limits:\n  processes: 1\n  open_context: 5\n",
			want: `crau.yaml:3: limits.open_context: unknown key: the keys here are open_bytes, open_contexts, process_rate, processes, queue_bytes, tree_spans`,
		},
		{
			name: "unknown key at the top, other case",
			file: "Exporter: none\n",
			want: `crau.yaml:1: Exporter: unknown key: the keys here are console, discovery, exporter, libraries, limits, log, metrics, policy, pprof, privacy, ring, sampling, sandbox, scopes, services, shutdown, spans, user, wire`,
		},
		{
			name: "dotted key",
			file: "exporter: none\nlimits.processes: 1\n",
			want: `crau.yaml:2: limits.processes: unknown key: write the part after the dot below the part before it`,
		},
		{
			name: "key that is not text",
			file: "shutdown:\n  1: 2s\n",
			want: `crau.yaml:2: shutdown.1: unknown key: the keys here are timeout`,
		},
		{
			name:    "unknown variable",
			environ: []string{"CRAU_LIMITS_OPEN_CONTEXT=5"},
			want:    `CRAU_LIMITS_OPEN_CONTEXT: unknown variable: the key limits.open_contexts, for example, is CRAU_LIMITS_OPEN_CONTEXTS`,
		},
		{
			name:    "variable of a Kubernetes service",
			environ: []string{"CRAU_OTEL_SERVICE_HOST=10.0.0.1"},
			want:    `CRAU_OTEL_SERVICE_HOST: unknown variable: if Kubernetes set it, set enableServiceLinks: false in the pod`,
		},
		{
			name: "list for a scalar",
			file: "exporter: [otlp, console]\nring:\n  size: [1]\n",
			want: "crau.yaml:1: exporter: must be text, got a list\n" +
				"crau.yaml:3: ring.size: must be a size such as 65536 or 8MiB (units B, KiB, MiB, GiB), got a list",
		},
		{
			name: "scalar for a list",
			file: "libraries: /usr/lib64/libgnutls.so.30\n",
			want: `crau.yaml:1: libraries: must be a list, got "/usr/lib64/libgnutls.so.30"`,
		},
		{
			name:    "scalar for a section, though a variable sets its key",
			file:    "limits: 3\n",
			environ: []string{"CRAU_LIMITS_PROCESSES=5"},
			want:    `crau.yaml:1: limits: must be a section with keys, got 3`,
		},
		{
			name: "section for a scalar",
			file: "exporter:\n  otlp: true\n",
			want: `crau.yaml:1: exporter: must be text, got a section with keys`,
		},
		{
			name: "numbers for text",
			file: "exporter: 1\nlibraries: [/a, 2, null]\n",
			want: "crau.yaml:1: exporter: must be text, got 1\n" +
				"crau.yaml:2: libraries[1]: must be text, got 2\n" +
				"crau.yaml:2: libraries[2]: has no value: give it one or leave the element out",
		},
		{
			name: "fraction, text and a huge number for a whole number",
			file: "limits:\n  open_contexts: 5.0\n  processes: \"5\"\n  tree_spans: 99999999999999999999\n" +
				"metrics: {max_series: 2.5}\n",
			want: "crau.yaml:2: limits.open_contexts: must be a whole number of at most 64 bits, got 5.0\n" +
				"crau.yaml:3: limits.processes: must be a whole number of at most 64 bits, got \"5\"\n" +
				"crau.yaml:4: limits.tree_spans: must be a whole number of at most 64 bits, got 1e+20\n" +
				"crau.yaml:5: metrics.max_series: must be a whole number of at most 64 bits, got 2.5",
		},
		{
			name: "number without unit for a duration",
			file: "spans:\n  idle_timeout: 2\nshutdown: {timeout: soon}\n",
			want: "crau.yaml:3: shutdown.timeout: must be a duration such as 2s or 500ms, got \"soon\"\n" +
				"crau.yaml:2: spans.idle_timeout: must be a duration such as 2s or 500ms, got 2",
		},
		{
			name: "negative size",
			file: "ring:\n  size: -1\n",
			want: `crau.yaml:2: ring.size: must be a size such as 65536 or 8MiB (units B, KiB, MiB, GiB), got -1`,
		},
		{
			name: "no value",
			file: "log:\n  level:\n",
			want: `crau.yaml:2: log.level: has no value: give it one or leave the key out`,
		},
		{
			name:    "variable of another type",
			environ: []string{"CRAU_LIMITS_PROCESSES=many", "CRAU_RING_SIZE=8MB"},
			want: "CRAU_LIMITS_PROCESSES: limits.processes: must be a whole number of at most 64 bits, got \"many\"\n" +
				"CRAU_RING_SIZE: ring.size: must be a size such as 65536 or 8MiB (units B, KiB, MiB, GiB), got \"8MB\"",
		},
		{
			name: "flag of another type",
			args: []string{"--idle-timeout=fast"},
			want: `--idle-timeout: spans.idle_timeout: must be a duration such as 2s or 500ms, got "fast"`,
		},
		{
			name:    "values out of range name the source that won",
			file:    "ring:\n  size: 9MiB\nlimits:\n  processes: 0\n  tree_spans: 0\n",
			environ: []string{"CRAU_LIMITS_PROCESSES=-1", "CRAU_LIBRARIES=/a,,/b"},
			args:    []string{"--log-level=loud"},
			want: "CRAU_LIBRARIES: libraries[1]: must be the path of a file, got an empty one\n" +
				"--log-level: log.level: must be debug, info, warn or error, got \"loud\"\n" +
				"crau.yaml:2: ring.size: must be a power of two, such as 8MiB or 16MiB, got 9MiB\n" +
				"crau.yaml:5: limits.tree_spans: must be at least 1, got 0\n" +
				"CRAU_LIMITS_PROCESSES: limits.processes: must be at least 1, got -1",
		},
		{
			name:    "errors of all sources together",
			file:    "colour: red\n",
			environ: []string{"CRAU_COLOUR=red"},
			args:    []string{"--ring-size=big"},
			want: "CRAU_COLOUR: unknown variable: the key limits.open_contexts, for example, is CRAU_LIMITS_OPEN_CONTEXTS\n" +
				"crau.yaml:1: colour: unknown key: the keys here are console, discovery, exporter, libraries, limits, log, metrics, policy, pprof, privacy, ring, sampling, sandbox, scopes, services, shutdown, spans, user, wire\n" +
				"--ring-size: ring.size: must be a size such as 65536 or 8MiB (units B, KiB, MiB, GiB), got \"big\"",
		},
		{
			name: "duplicate keys",
			file: "ring:\n  size: 1MiB\n  size: 2MiB\n",
			want: "CRAU_CONFIG: parse crau.yaml: yaml: unmarshal errors:\n  line 3: mapping key \"size\" already defined at line 2",
		},
		{
			name: "syntax error",
			file: "exporter: otlp\nlog:\n\tlevel: info\n",
			want: "CRAU_CONFIG: parse crau.yaml: yaml: line 3: found character that cannot start any token",
		},
		{
			name: "list at the top",
			file: "- exporter\n",
			want: "CRAU_CONFIG: parse crau.yaml: line 1: must be keys with values",
		},
		{
			name: "second document",
			file: "exporter: otlp\n---\nexporter: none\n",
			want: "CRAU_CONFIG: parse crau.yaml: must be one YAML document, got several",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, err := load(t, test.file, test.environ, test.args...)
			if err == nil {
				t.Fatalf("accepted: %+v", c)
			}
			if err.Error() != test.want {
				t.Errorf("error\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

// LogFormat returns the log format of an invalid configuration, if it can be determined.
func TestLogFormatHoldsEvenIfTheConfigurationIsInvalid(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "crau.yaml")
	if err := os.WriteFile(name, []byte("exporter: 7\nlog:\n  format: json\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		environ, args []string
		want          string
	}{
		{nil, nil, FormatText},
		{[]string{"CRAU_LOG_FORMAT=json"}, nil, FormatJSON},
		{[]string{"CRAU_LOG_FORMAT=jsn"}, nil, FormatText},
		{[]string{"CRAU_LOG_FORMAT=json"}, []string{"--log-format", "text"}, FormatText},
		{[]string{"CRAU_LOG_FORMAT=json"}, []string{"--log-format", "jsn"}, FormatJSON},
		{nil, []string{"--log-format", "json"}, FormatJSON},
		{[]string{"CRAU_CONFIG=" + name}, nil, FormatJSON},
		{[]string{"CRAU_CONFIG=" + name, "CRAU_LOG_FORMAT=text"}, nil, FormatText},
		{[]string{"CRAU_CONFIG=/nonexistent"}, nil, FormatText},
	} {
		flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
		Flags(flags, Default())
		if err := flags.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		if got := LogFormat(flags, c.environ); got != c.want {
			t.Errorf("%v %v: %s, want %s", c.environ, c.args, got, c.want)
		}
	}
	if got := LogFormat(pflag.NewFlagSet("version", pflag.ContinueOnError), nil); got != FormatText {
		t.Errorf("a command without flags: %s", got)
	}
}

// A whole number has the same meaning in a file and in a variable, or is invalid in both.
func TestWholeNumbersAreDecimal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		number string
		want   int // 0 if the number is rejected
	}{
		{"1000", 1000},
		{"+1000", 1000},
		{"01000", 0},
		{"0x10", 0},
		{"0o17", 0},
		{"0b11", 0},
		{"01_0", 0},
		{"1_000", 0},
		{"08", 0},
		{"1e3", 0},
		{"1000.0", 0},
	} {
		file, fromFile := load(t, "limits:\n  open_contexts: "+c.number+"\n", nil)
		variable, fromVariable := load(t, "", []string{"CRAU_LIMITS_OPEN_CONTEXTS=" + c.number})
		if (fromFile == nil) != (c.want != 0) || (fromVariable == nil) != (c.want != 0) {
			t.Errorf("%s: from a file %v, from a variable %v", c.number, fromFile, fromVariable)
		}
		if c.want != 0 && (file.Limits.OpenContexts != c.want || variable.Limits.OpenContexts != c.want) {
			t.Errorf("%s: %d and %d", c.number, file.Limits.OpenContexts, variable.Limits.OpenContexts)
		}
	}
	for _, size := range []string{"01048576", "0x100000", "1_048_576", "01MiB"} {
		if _, err := load(t, "ring:\n  size: "+size+"\n", nil); err == nil {
			t.Errorf("ring.size %s from a file is accepted", size)
		}
		if _, err := load(t, "", []string{"CRAU_RING_SIZE=" + size}); err == nil {
			t.Errorf("ring.size %s from a variable is accepted", size)
		}
		if _, err := load(t, "", nil, "--ring-size", size); err == nil {
			t.Errorf("ring.size %s from a flag is accepted", size)
		}
	}
	for size, want := range map[string]ByteSize{"+1048576": MiB, "+1MiB": MiB, "+-1": 0, "-1": 0, "-0": 0, "++1MiB": 0} {
		file, fromFile := load(t, "ring:\n  size: "+size+"\n", nil)
		variable, fromVariable := load(t, "", []string{"CRAU_RING_SIZE=" + size})
		flag, fromFlag := load(t, "", nil, "--ring-size="+size)
		for _, err := range []error{fromFile, fromVariable, fromFlag} {
			if (err == nil) != (want != 0) {
				t.Errorf("ring.size %s: %v", size, err)
			}
		}
		if want != 0 && (file.Ring.Size != want || variable.Ring.Size != want || flag.Ring.Size != want) {
			t.Errorf("ring.size %s is %v, %v and %v", size, file.Ring.Size, variable.Ring.Size, flag.Ring.Size)
		}
	}
	_, err := load(t, "wire:\n  deny_ports: [22, 0x1bb]\npolicy:\n  rules:\n    - value: 010\n", nil)
	want := "crau.yaml:2: wire.deny_ports[1]: must be a whole number in decimal, without leading zeros or underscores, got 0x1bb\n" +
		"crau.yaml:5: policy.rules[0].value: must be a whole number in decimal, without leading zeros or underscores, got 010"
	if err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

// A boolean must have one of YAML's spellings, in a file, in a variable and in a flag.
func TestBooleansAreThoseOfYAML(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"true": "true", "True": "true", "TRUE": "true", "false": "false", "False": "false", "FALSE": "false",
		"1": "", "0": "", "t": "", "T": "", "F": "", "yes": "", "on": "", "off": "", "tRue": "",
	} {
		file, fromFile := load(t, "discovery:\n  enabled: "+text+"\n", nil)
		variable, fromVariable := load(t, "", []string{"CRAU_DISCOVERY_ENABLED=" + text})
		flag, fromFlag := load(t, "", nil, "--discovery="+text)
		for source, got := range map[string]struct {
			c   Config
			err error
		}{"a file": {file, fromFile}, "a variable": {variable, fromVariable}, "a flag": {flag, fromFlag}} {
			switch {
			case want == "" && (got.err == nil || !strings.Contains(got.err.Error(), "discovery.enabled: must be true or false, got ")):
				t.Errorf("%s from %s: error is %v", text, source, got.err)
			case want != "" && (got.err != nil || fmt.Sprint(got.c.Discovery.Enabled) != want):
				t.Errorf("%s from %s: %v, %v", text, source, got.c.Discovery.Enabled, got.err)
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

const sampleFile = "../../../../crau-otel.yaml"

func TestSampleHoldsDefaults(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	Flags(flags, Default())
	if err := flags.Parse([]string{"--config", sampleFile}); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Default(), flags, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, Default()) {
		t.Errorf("sample %+v\ndefault %+v", c, Default())
	}
}

func TestSampleHasEveryKeyWithComment(t *testing.T) {
	t.Parallel()
	doc, err := readDocument(sampleFile)
	if err != nil {
		t.Fatal(err)
	}
	for key := range keyTypes(configType) {
		if _, exact := doc.line(key); !exact {
			t.Errorf("%s: not in the sample", key)
		}
	}
	var walk func(*yaml.Node)
	walk = func(section *yaml.Node) {
		for i := 0; i < len(section.Content); i += 2 {
			if name := section.Content[i]; name.HeadComment == "" {
				t.Errorf("line %d: %s: no comment", name.Line, name.Value)
			}
			if value := section.Content[i+1]; value.Kind == yaml.MappingNode {
				walk(value)
			}
		}
	}
	walk(doc.root)
}

func TestFieldsAreTagged(t *testing.T) {
	t.Parallel()
	variables := map[string]string{envConfig: "--config"}
	for key := range keyTypes(configType) {
		if strings.ToLower(key) != key || strings.Trim(key, ".") != key || strings.Contains(key, "..") {
			t.Errorf("%q: bad tag", key)
		}
		if other := variables[envName(key)]; other != "" {
			t.Errorf("%s and %s share %s", key, other, envName(key))
		}
		variables[envName(key)] = key
	}
}

func TestFlagsAreTiedToKeys(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	Flags(flags, Default())
	types := keyTypes(configType)
	flags.VisitAll(func(f *pflag.Flag) {
		key := strings.Join(f.Annotations[keyAnnotation], "")
		if types[key] == nil && f.Name != flagConfig {
			t.Errorf("--%s: tied to %q", f.Name, key)
		}
	})
}

func TestDefaultIsFresh(t *testing.T) {
	t.Parallel()
	a, b := Default(), Default()
	if err := a.Validate(); err != nil {
		t.Error(err)
	}
	a.Libraries = append(a.Libraries, "/a")
	if len(b.Libraries) != 0 {
		t.Error("two defaults share a list")
	}
}

func TestValidateRanges(t *testing.T) {
	t.Parallel()
	checkRange(t, "limits.open_contexts", func(c *Config) *int { return &c.Limits.OpenContexts }, 1, 16777216)
	checkRange(t, "limits.tree_spans", func(c *Config) *int { return &c.Limits.TreeSpans }, 1, 1048576)
	checkRange(t, "limits.processes", func(c *Config) *int { return &c.Limits.Processes }, 1, 4194304)
	checkRange(t, "limits.process_rate", func(c *Config) *int { return &c.Limits.ProcessRate }, 1000, 100000000)
	checkRange(t, "metrics.max_series", func(c *Config) *int { return &c.Metrics.MaxSeries }, 16, 1000000)
	checkRange(t, "ring.poll_interval", func(c *Config) *time.Duration { return &c.Ring.PollInterval }, 100*time.Microsecond, time.Second)
	checkRange(t, "spans.idle_timeout", func(c *Config) *time.Duration { return &c.Spans.IdleTimeout }, 10*time.Millisecond, time.Hour)
	checkRange(t, "shutdown.timeout", func(c *Config) *time.Duration { return &c.Shutdown.Timeout }, 100*time.Millisecond, 10*time.Minute)
	checkRange(t, "ring.size", func(c *Config) *ByteSize { return &c.Ring.Size }, 65536, 1<<30)
}

// checkRange checks that a field may have the values low and high, but not 0, low-1 and high+1.
func checkRange[T int | ByteSize | time.Duration](t *testing.T, key string, field func(*Config) *T, low, high T) {
	t.Helper()
	for _, test := range []struct {
		value T
		want  string
	}{
		{0, fmt.Sprintf("%s: must be at least %v, got %v", key, low, T(0))},
		{low - 1, fmt.Sprintf("%s: must be at least %v, got %v", key, low, low-1)},
		{low, ""},
		{high, ""},
		{high + 1, fmt.Sprintf("%s: must be at most %v, got %v", key, high, high+1)},
	} {
		c := Default()
		*field(&c) = test.value
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("error %q, want %q", got, test.want)
		}
	}
}

func TestValidateRingSize(t *testing.T) {
	t.Parallel()
	for size, want := range map[ByteSize]string{
		64*KiB + 4096: "ring.size: must be a power of two, such as 64KiB or 128KiB, got 68KiB",
		GiB - 1:       "ring.size: must be a power of two, such as 512MiB or 1GiB, got 1073741823B",
		512 * MiB:     "",
	} {
		c := Default()
		c.Ring.Size = size
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("error %q, want %q", got, want)
		}
	}
}

func TestValidateWords(t *testing.T) {
	t.Parallel()
	c := Default()
	c.Exporter, c.Console, c.Log = "jaeger", Console{"xml", "yes"}, Log{"trace", ""}
	c.Policy.Name, c.Privacy.Process = "strict", "some"
	const want = `exporter: must be otlp, console or none, got "jaeger"
console.format: must be text or json, got "xml"
console.color: must be auto, always or never, got "yes"
log.level: must be debug, info, warn or error, got "trace"
log.format: must be text or json, got ""
policy.name: must be none, hybrid-ok, pq-only or cnsa-2.0, got "strict"
privacy.process: must be none or full, got "some"`
	if err := c.Validate(); err == nil || err.Error() != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
}

func TestValidateLists(t *testing.T) {
	t.Parallel()
	long := slices.Repeat([]string{"a_0"}, maxScopes+1)
	for _, test := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Scopes = long[:maxScopes] }, ""},
		{func(c *Config) { c.Scopes = long }, "scopes: must be at most 16, got 17"},
		{
			func(c *Config) { c.Scopes = []string{"tls", "", "TLS", "tls::", "a-b", "t\n"} },
			`scopes[1]: must be a word of a-z, 0-9 and _ such as tls, got ""
scopes[2]: must be a word of a-z, 0-9 and _ such as tls, got "TLS"
scopes[3]: must be a word of a-z, 0-9 and _ such as tls, got "tls::"
scopes[4]: must be a word of a-z, 0-9 and _ such as tls, got "a-b"
scopes[5]: must be a word of a-z, 0-9 and _ such as tls, got "t\n"`,
		},
		{func(c *Config) { c.Privacy.Keys = Keys{[]string{"*", "tls::*", "ssh::[cs]2*"}, []string{"?"}} }, ""},
		{
			func(c *Config) { c.Privacy.Keys = Keys{[]string{"*", "["}, []string{"", "a\\"}} },
			`privacy.keys.allow[1]: must be a pattern such as tls::*, got "["
privacy.keys.deny[0]: must be a pattern such as tls::*, got ""
privacy.keys.deny[1]: must be a pattern such as tls::*, got "a\\"`,
		},
	} {
		c := Default()
		test.change(&c)
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("error\n%s\nwant\n%s", got, test.want)
		}
	}
}

func TestByteSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]ByteSize{
		"0":                    0,
		"1":                    1,
		"1B":                   1,
		"1024":                 KiB,
		"8MiB":                 8 * MiB,
		"1536KiB":              1536 * KiB,
		"18446744073709551615": 1<<64 - 1,
		"17179869183GiB":       17179869183 * GiB,
	} {
		var got ByteSize
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %d, error %v", text, got, err)
		}
		var again ByteSize
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
			t.Errorf("%q: written as %q, read as %d", text, got, again)
		}
	}
	for _, text := range []string{"", "B", "MiB", "-1", "1.5MiB", "8MB", "8 MiB", "8mib", "0x10", "18446744073709551616", "17179869184GiB"} {
		if err := new(ByteSize).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q accepted", text)
		}
	}
}

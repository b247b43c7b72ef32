// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
)

var (
	allowed = regexp.MustCompile(`(?m)^([a-z_.]+)(?:\[0\])?: must be (.*), got "bogus"$`)
	either  = regexp.MustCompile(`, | or `)
)

// TestWordsAreListedEverywhere checks that all words that a key allows as its value, such as the names of policies and
// exporters, are in the table of keys, in the usage of the flag and in the sample configuration. The allowed words are
// taken from the errors of Validate.
func TestWordsAreListedEverywhere(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Exporter, c.Policy.Name, c.Privacy.Process, c.Spans.Detail = "bogus", "bogus", "bogus", "bogus"
	c.Console, c.Log = config.Console{Format: "bogus", Color: "bogus"}, config.Log{Level: "bogus", Format: "bogus"}
	c.Spans.Whole, c.Sampling.Keep = []string{"bogus"}, []string{"bogus"}
	err := c.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	config.Flags(flags, config.Default())
	sample := read(t, "crau-otel.yaml")
	found := allowed.FindAllStringSubmatch(err.Error(), -1)
	if len(found) != 10 {
		t.Fatalf("%d keys with words, want 10: %v", len(found), err)
	}
	for _, m := range found {
		key, words := m[1], either.Split(m[2], -1)
		settings := config.Settings()
		s := settings[slices.IndexFunc(settings, func(s config.Setting) bool { return s.Key == key })]
		places := map[string]string{"docs/configuration.md": s.Meaning, "crau-otel.yaml": comment(sample, key)}
		if s.Flag != "" {
			places["the usage of "+s.Flag] = flags.Lookup(strings.TrimPrefix(s.Flag, "--")).Usage
		}
		if key == "policy.name" {
			places["docs/policy.md"] = read(t, "docs/policy.md")
		}
		for place, text := range places {
			for _, word := range words {
				if !regexp.MustCompile(`(^|[^\w-])` + regexp.QuoteMeta(word) + `($|[^\w-])`).MatchString(text) {
					t.Errorf("%s does not list %s among the values of %s: %q", place, word, key, text)
				}
			}
		}
	}
}

// comment returns the comment lines above a key of the sample configuration, and the line of the key.
func comment(sample, key string) string {
	section, name, below := strings.Cut(key, ".")
	if !below {
		section, name = "", key
	}
	if section != "" {
		_, sample, _ = strings.Cut(sample, "\n"+section+":\n")
		name = "  " + name
	}
	var lines []string
	for line := range strings.Lines(sample) {
		lines = append(lines, line)
		if strings.HasPrefix(line, name+":") {
			break
		}
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			lines = nil
		}
	}
	return strings.Join(lines, "")
}

// TestRulesOfBuiltInPoliciesNameAttributes checks that the rules of the built-in policies are about existing
// attributes. policy.New does not check that.
func TestRulesOfBuiltInPoliciesNameAttributes(t *testing.T) {
	t.Parallel()
	src, err := load(root, modulePath+"/mapping/policy")
	if err != nil {
		t.Fatal(err)
	}
	sets, err := src.policies()
	if err != nil {
		t.Fatal(err)
	}
	known, n := names(), 0
	for _, set := range sets {
		for _, r := range set.rules {
			if n++; !slices.Contains(known, r.attribute) {
				t.Errorf("rule %s: no attribute %s", r.name, r.attribute)
			}
		}
	}
	if n < 15 {
		t.Errorf("only %d rules", n)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/needs"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/totals"
	"github.com/crau-otel/crau-otel/mapping/policy"
	"github.com/crau-otel/crau-otel/probes"
)

// setting is a row of the table of keys in docs/configuration.md, without key, reload and meaning.
type setting struct{ variable, flag, value string }

func TestConfigurationTableIsComplete(t *testing.T) {
	t.Parallel()
	want := make(map[string]setting)
	var sample yaml.Node
	if err := yaml.Unmarshal([]byte(read(t, "crau-otel.yaml")), &sample); err != nil {
		t.Fatal(err)
	}
	addSettings(want, "", sample.Content[0])
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	config.Flags(flags, config.Default())
	flags.VisitAll(func(f *pflag.Flag) {
		keys := slices.Concat(slices.Collect(maps.Values(f.Annotations))...)
		if len(keys) != 1 {
			if f.Name != "config" {
				t.Errorf("--%s sets %d keys", f.Name, len(keys))
			}
			return
		}
		s := want[keys[0]]
		s.flag = "--" + f.Name
		want[keys[0]] = s
	})
	for _, key := range []string{"policy.rules", "services"} { // lists of objects, which a variable cannot contain
		s := want[key]
		s.variable = ""
		want[key] = s
	}

	got := make(map[string]setting)
	for _, row := range rows(t, read(t, "docs/configuration.md"), "## Keys") {
		if len(row) != 6 || row[5] == "" {
			t.Fatalf("row of %d cells: %q", len(row), row)
		}
		got[row[0]] = setting{row[1], row[2], row[3]}
	}
	for key, s := range want {
		if got[key] != s {
			t.Errorf("%s: docs/configuration.md has %+v, want %+v", key, got[key], s)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("docs/configuration.md has the key %s, which does not exist", key)
		}
	}
	for _, page := range []string{"README.md", "docs/configuration.md"} {
		for _, name := range []string{"--config", "CRAU_CONFIG"} {
			if !strings.Contains(read(t, page), name) {
				t.Errorf("%s does not name %s", page, name)
			}
		}
	}
}

// addSettings adds the keys of a section of the sample configuration to settings, with their variables and defaults.
func addSettings(settings map[string]setting, prefix string, section *yaml.Node) {
	for i := 0; i < len(section.Content); i += 2 {
		key, value := prefix+section.Content[i].Value, section.Content[i+1]
		switch value.Kind {
		case yaml.MappingNode:
			addSettings(settings, key+".", value)
			continue
		case yaml.SequenceNode:
			var list []string
			for _, element := range value.Content {
				list = append(list, element.Value)
			}
			value = &yaml.Node{Value: "[" + strings.Join(list, ", ") + "]"}
		default:
			if value.Value == "" {
				value = &yaml.Node{Value: `""`}
			}
		}
		variable := "CRAU_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
		settings[key] = setting{variable: variable, value: value.Value}
	}
}

func TestYAMLExamplesAreValid(t *testing.T) {
	t.Parallel()
	n := 0
	for _, page := range pages {
		for _, text := range blocks(read(t, page), "yaml") {
			n++
			file := filepath.Join(t.TempDir(), "crau-otel.yaml")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
			config.Flags(flags, config.Default())
			if _, err := config.Load(config.Default(), flags, []string{"CRAU_CONFIG=" + file}); err != nil {
				t.Errorf("%s: %v\n%s", page, err, text)
			}
		}
	}
	if n < 4 {
		t.Errorf("only %d examples", n)
	}
}

// TestRulesInExamplesNameAttributes checks that the rules in examples are about existing attributes. policy.New does
// not check that.
func TestRulesInExamplesNameAttributes(t *testing.T) {
	t.Parallel()
	table, n := documented(), 0
	for _, page := range pages {
		for _, text := range blocks(read(t, page), "yaml") {
			var c struct{ Policy policy.Config }
			if err := yaml.Unmarshal([]byte(text), &c); err != nil {
				t.Fatal(err)
			}
			for _, r := range c.Policy.Rules {
				n++
				if _, ok := table[r.Attribute]; !ok && r.Attribute != "span.name" {
					t.Errorf("%s: rule %s: no attribute %s", page, r.Name, r.Attribute)
				}
			}
		}
	}
	if n < 4 {
		t.Errorf("only %d rules", n)
	}
}

func TestTotalsAreExplained(t *testing.T) {
	t.Parallel()
	var explained, logged []string
	for _, row := range rows(t, read(t, "docs/accounting.md"), "## Fields of the totals") {
		explained = append(explained, row[0])
	}
	for _, f := range totals.Fields() {
		logged = append(logged, f.Key())
	}
	if len(logged) < 10 || !slices.Equal(explained, logged) {
		t.Errorf("docs/accounting.md explains\n%q\nthe line has\n%q", explained, logged)
	}
}

var standardVariable = regexp.MustCompile(`"(OTEL_[A-Z_]+)"`)

func TestStandardVariablesInTheCodeAreDocumented(t *testing.T) {
	t.Parallel()
	page := read(t, "docs/configuration.md")
	files, err := filepath.Glob(filepath.Join(root, "cmd/crau-otel/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join(root, "cmd/crau-otel/internal/*/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, file := range append(files, more...) {
		if strings.HasSuffix(file, "_test.go") || strings.Contains(file, "/docs/") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range standardVariable.FindAllStringSubmatch(string(text), -1) {
			// A literal that ends in _ is the start of a name that is completed at run time.
			seen[strings.TrimSuffix(m[1], "_")] = true
		}
	}
	if len(seen) < 8 {
		t.Errorf("the code has only %q", slices.Collect(maps.Keys(seen)))
	}
	for name := range seen {
		short := strings.TrimPrefix(name, "OTEL_EXPORTER_OTLP")
		if !strings.Contains(page, name) && !strings.Contains(page, "`"+short+"`") {
			t.Errorf("docs/configuration.md does not have %s", name)
		}
	}
}

var inBrackets = regexp.MustCompile(`\((\d+)(?: ms)?\)`)

func TestDefaultsOfStandardVariablesAreThoseOfTheCode(t *testing.T) {
	t.Parallel()
	src, err := load(root, commandPath+"/internal/export")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]string)
	for _, row := range rows(t, read(t, "docs/configuration.md"), "## OpenTelemetry's variables") {
		values := inBrackets.FindAllStringSubmatch(row[1], -1)
		for i, name := range strings.Split(row[0], ", ") {
			if i < len(values) {
				documented[name] = values[i][1]
			}
		}
	}
	n := 0
	for name, value := range src.numbers(commandPath + "/internal/export") {
		n++
		if documented[name] != value {
			t.Errorf("%s: docs/configuration.md has %q, want %s", name, documented[name], value)
		}
	}
	if n < 4 {
		t.Errorf("the code has only %d variables with defaults", n)
	}
}

// numbers returns the defaults of the environment variables that a package reads, in the unit of the variable. These
// are the constants otherwise in its calls of number(_, name, otherwise) and milliseconds(_, name, otherwise).
func (src *source) numbers(path string) map[string]string {
	numbers := make(map[string]string)
	src.packages[path].inspect(func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 3 || src.text(call.Args[1]) == "" {
			return true
		}
		value, exact := constant.Int64Val(constant.ToInt(src.info.Types[call.Args[2]].Value))
		switch f, _ := call.Fun.(*ast.Ident); {
		case f == nil || !exact:
		case f.Name == "number":
			numbers[src.text(call.Args[1])] = fmt.Sprint(value)
		case f.Name == "milliseconds":
			numbers[src.text(call.Args[1])] = fmt.Sprint(time.Duration(value).Milliseconds())
		}
		return true
	})
	return numbers
}

func TestExampleProgramCompiles(t *testing.T) {
	t.Parallel()
	cc := needs.Program(t, "cc")
	programs := blocks(read(t, "docs/instrumenting.md"), "c")
	if len(programs) != 1 {
		t.Fatalf("%d programs", len(programs))
	}
	dir := t.TempDir()
	program, file := filepath.Join(dir, "sign"), filepath.Join(dir, "sign.c")
	if err := os.WriteFile(file, []byte(programs[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(cc, "-Wall", "-Wextra", "-Werror", "-I", filepath.Join(root, "examples/include"), "-o", program, file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := probes.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	var sites []string
	for _, s := range f.Sites {
		sites = append(sites, s.Probe.String())
	}
	slices.Sort(sites)
	if want := []string{"data", "new_context_with_data"}; !slices.Equal(slices.Compact(sites), want) || f.Problems != nil {
		t.Errorf("sites %q, problems %v", sites, f.Problems)
	}
	if out, err := exec.Command(program).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/metrics"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/totals"
	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/test/needs"
)

var (
	// dotted matches names of keys, attributes, instruments and fields of the totals, and patterns of names ending in .*
	dotted   = regexp.MustCompile(`^[a-z_0-9]+(\.[a-z_0-9]+)*(\.\*)?$`)
	setTo    = regexp.MustCompile(`(: |=).*`)
	makeLine = regexp.MustCompile(`(?m)^\s*(?:sudo |[A-Z]+=\S+ )*make ([a-z][a-z-]*)`)
	target   = regexp.MustCompile(`(?m)^([a-z-]+):`)
)

// names returns the names that pages write with dots: keys of the configuration, attributes, instruments, and fields of
// the totals.
func names() []string {
	var all []string
	for _, s := range config.Settings() {
		all = append(all, s.Key)
	}
	for _, a := range schema.Attributes() {
		all = append(all, string(a.Key))
	}
	for _, i := range metrics.Instruments() {
		all = append(all, i.Name)
	}
	for _, d := range described {
		all = append(all, d.key)
	}
	for _, f := range totals.Fields() {
		all = append(all, f.Key())
	}
	for _, k := range schema.Contexts() {
		for _, key := range k.Keys {
			all = append(all, strings.ReplaceAll(key, "::", "."))
		}
	}
	for _, a := range agentResource {
		all = append(all, a.key)
	}
	return append(all, "span.name", "crypto.context") // attribute of rules; span name of a context without a name
}

var fence = regexp.MustCompile("(?ms)^```.*?^```$")

// marked returns the texts in code marks in a page, except in fenced blocks.
func marked(t *testing.T, page string) []string {
	t.Helper()
	var all []string
	for _, m := range inCode.FindAllStringSubmatch(fence.ReplaceAllString(read(t, page), ""), -1) {
		all = append(all, m[1])
	}
	return all
}

// TestNamesInCodeMarksExist checks that each text in code marks that looks like the name of a key, an attribute, an
// instrument or a field of the totals is such a name. Only texts with a dot whose part before the first dot occurs in
// an existing name are checked.
func TestNamesInCodeMarksExist(t *testing.T) {
	t.Parallel()
	known, families, n := names(), make(map[string]bool), 0
	for _, name := range known {
		family, _, below := strings.Cut(name, ".")
		families[family] = families[family] || below
	}
	for _, page := range pages {
		for _, text := range marked(t, page) {
			name := setTo.ReplaceAllString(text, "")
			family, _, below := strings.Cut(name, ".")
			if !below || !families[family] || !dotted.MatchString(name) || slices.Contains([]string{".md", ".yaml", ".h", ".c", ".go"}, path.Ext(name)) {
				continue
			}
			n++
			prefix, pattern := strings.CutSuffix(name, "*")
			if !slices.ContainsFunc(known, func(k string) bool { return k == name || pattern && strings.HasPrefix(k, prefix) }) {
				t.Errorf("%s: no key, attribute, instrument or field of the totals is called %s", page, name)
			}
		}
	}
	if n < 200 {
		t.Errorf("only %d names", n)
	}
}

// TestVariablesInPagesExist checks that each CRAU_ name in a page is the variable of a key, or a macro of the C
// headers.
func TestVariablesInPagesExist(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"CRAU_CONFIG": true, "CRAU_A_B_C": true}
	for _, s := range config.Settings() {
		known[s.Variable] = true
	}
	for _, page := range pages {
		for _, name := range regexp.MustCompile(`\bCRAU_[A-Z_]+`).FindAllString(read(t, page), -1) {
			macro := strings.Contains(read(t, "examples/include/crau.h")+read(t, "bpf/audit.h"), name)
			if !known[name] && !macro {
				t.Errorf("%s: there is no variable %s", page, name)
			}
		}
	}
}

// TestFlagsInPagesExist checks that the flags exist that pages write after a command of crau-otel on the same line.
func TestFlagsInPagesExist(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"output": true, "tree-file": true, "linger": true, "help": true} // flags that run lacks
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	config.Flags(flags, config.Default())
	flags.VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
	command, flag := regexp.MustCompile(`crau-otel (run|exec|probes|check)\b(.*)`), regexp.MustCompile(`(?:^|\s)--([a-z][a-z-]*)`)
	n := 0
	for _, page := range pages {
		for _, m := range command.FindAllStringSubmatch(read(t, page), -1) {
			own, _, _ := strings.Cut(m[2], " -- ")
			own, _, _ = strings.Cut(own, "`")
			for _, f := range flag.FindAllStringSubmatch(own, -1) {
				if n++; !known[f[1]] {
					t.Errorf("%s: %s: there is no flag --%s", page, m[0], f[1])
				}
			}
		}
	}
	if n < 10 {
		t.Errorf("only %d flags", n)
	}
}

// TestMakeTargetsInPagesExist checks that the Makefile has all targets that pages and the CI use.
func TestMakeTargetsInPagesExist(t *testing.T) {
	t.Parallel()
	targets := make(map[string]bool)
	for _, m := range target.FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets[m[1]] = true
	}
	check := func(name, text string) {
		for _, m := range makeLine.FindAllStringSubmatch(text, -1) {
			if !targets[m[1]] {
				t.Errorf("%s: make %s: no such target", name, m[1])
			}
		}
	}
	for _, page := range pages {
		for _, text := range marked(t, page) {
			check(page, text)
		}
		for _, block := range blocks(read(t, page), "sh") {
			check(page, block)
		}
	}
	check(".ci/run", read(t, ".ci/run"))
	check(".github/workflows/ci.yml", strings.ReplaceAll(read(t, ".github/workflows/ci.yml"), "- run: ", ""))
}

// TestFilesInCodeMarksExist checks that the files exist whose paths in this repository pages write in code marks.
func TestFilesInCodeMarksExist(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("git", "ls-files")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		needs.Missing(t, "not a git repository: %v", err)
	}
	var top []string
	for _, name := range strings.Fields(string(out)) {
		first, _, below := strings.Cut(name, "/")
		if below && !slices.Contains(top, first) {
			top = append(top, first)
		}
	}
	n := 0
	for _, page := range pages {
		for _, text := range marked(t, page) {
			name := strings.TrimSuffix(text, "/...")
			first, rest, below := strings.Cut(name, "/")
			if first == "internal" { // short for cmd/crau-otel/internal
				first, name = "cmd", "cmd/crau-otel/"+name
			}
			if !below || rest == "" || strings.ContainsAny(name, " :=(") || !slices.Contains(top, first) {
				continue
			}
			n++
			if found, err := filepath.Glob(filepath.Join(root, name)); err != nil || len(found) == 0 {
				if name == "test/bench/results/latest.json" { // written by make bench
					continue
				}
				t.Errorf("%s: there is no %s", page, name)
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d files", n)
	}
}

// TestFilesInPackageDocsExist checks that the files exist that package comments name: in the package's folder, at the
// top of the repository, or in docs.
func TestFilesInPackageDocsExist(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("git", "ls-files", "*.go")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		needs.Missing(t, "not a git repository: %v", err)
	}
	file, n := regexp.MustCompile(`(?:^|[\s(])([a-z0-9_./-]+\.(?:go|c|h|yaml|md))\b`), 0
	for _, name := range strings.Fields(string(out)) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.PackageClauseOnly|parser.ParseComments)
		if os.IsNotExist(err) { // deleted and not committed yet
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range file.FindAllStringSubmatch(f.Doc.Text(), -1) {
			n++
			if !slices.ContainsFunc([]string{path.Dir(name), ".", "docs"}, func(folder string) bool {
				_, err := os.Stat(filepath.Join(root, folder, m[1]))
				return err == nil
			}) {
				t.Errorf("%s: there is no %s", name, m[1])
			}
		}
	}
	if n < 30 {
		t.Errorf("only %d files", n)
	}
}

// TestContributingNamesEveryFolderOfTests checks that CONTRIBUTING.md names every folder below test.
func TestContributingNamesEveryFolderOfTests(t *testing.T) {
	t.Parallel()
	folders, err := os.ReadDir(filepath.Join(root, "test"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if f.IsDir() && !strings.Contains(read(t, "CONTRIBUTING.md"), "`test/"+f.Name()+"`") {
			t.Errorf("CONTRIBUTING.md does not name test/%s", f.Name())
		}
	}
}

// TestDecisionsHaveTheirSections checks that all pages in docs/decisions have the same sections in the same order.
func TestDecisionsHaveTheirSections(t *testing.T) {
	t.Parallel()
	for _, page := range pages {
		if !strings.HasPrefix(page, "docs/decisions/") || strings.HasSuffix(page, "README.md") {
			continue
		}
		rest := read(t, page)
		for _, section := range []string{"Context", "Decision", "Consequences"} {
			var found bool
			if _, rest, found = strings.Cut(rest, "\n## "+section+"\n"); !found {
				t.Errorf("%s has no section %s, or not in this order", page, section)
			}
		}
	}
}

// TestCommandsSayThatTheyNeedRoot checks that examples of commands that load BPF begin with sudo, so that they work for
// a reader who pastes them.
func TestCommandsSayThatTheyNeedRoot(t *testing.T) {
	t.Parallel()
	command := regexp.MustCompile(`^(?:[A-Z_]+=\S+ )*(?:bin/)?crau-otel (?:run|exec|check|probes)\b`)
	for _, page := range pages {
		for _, block := range blocks(read(t, page), "sh") {
			for line := range strings.Lines(block) {
				if command.MatchString(line) {
					t.Errorf("%s: %s: begin with sudo", page, strings.TrimSpace(line))
				}
			}
		}
	}
}

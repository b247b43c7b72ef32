// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// imports returns, for each package of this module, the packages of this module that it imports. Packages are named by
// their paths below the module. Tests, and packages that only tests use, are omitted.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]string)
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, modulePath+"/")
		if strings.HasPrefix(name, "test/") || strings.HasPrefix(name, "examples/") || strings.HasSuffix(name, "test") {
			continue
		}
		all[name] = []string{}
		for _, i := range p.Imports {
			if below, ours := strings.CutPrefix(i, modulePath+"/"); ours {
				all[name] = append(all[name], below)
			}
		}
	}
	return all
}

// inCode matches text in code marks.
var inCode = regexp.MustCompile("`([^`]+)`")

// matches reports whether a package matches one of the patterns. The pattern x/... matches x and all packages below x.
func matches(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		folder, wild := strings.CutSuffix(pattern, "/...")
		return name == folder || wild && strings.HasPrefix(name, folder+"/")
	})
}

func TestPackagesImportWhatTheArchitectureAllows(t *testing.T) {
	t.Parallel()
	_, table, found := strings.Cut(read(t, "docs/architecture.md"), "\n## Packages\n")
	if !found {
		t.Fatal("no table of packages")
	}
	table, _, _ = strings.Cut(table, "\n## ")
	words := func(cell string) (words []string) {
		for _, m := range inCode.FindAllStringSubmatch(cell, -1) {
			words = append(words, m[1])
		}
		return words
	}
	type rule struct{ packages, allowed []string }
	var rules []rule
	for line := range strings.Lines(table) {
		if cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|"); len(cells) == 3 && strings.Contains(cells[0], "`") {
			rules = append(rules, rule{words(cells[0]), words(cells[2])})
		}
	}
	used := make([]bool, len(rules))
	for name, imported := range imports(t) {
		i := slices.IndexFunc(rules, func(r rule) bool { return slices.Contains(r.packages, name) })
		if i < 0 {
			i = slices.IndexFunc(rules, func(r rule) bool { return matches(name, r.packages) })
		}
		if i < 0 {
			t.Errorf("docs/architecture.md does not have the package %s", name)
			continue
		}
		used[i] = true
		for _, other := range imported {
			if !matches(other, rules[i].allowed) {
				t.Errorf("%s imports %s, which docs/architecture.md does not allow", name, other)
			}
		}
	}
	for i, r := range rules {
		if !used[i] {
			t.Errorf("docs/architecture.md has the package %s, which does not exist", r.packages[0])
		}
	}
}

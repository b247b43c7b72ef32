// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"
)

// policy says what may be looked at.
type policy struct {
	allow, deny, executables, cgroups []pattern
}

func newPolicy(cfg *Config) (policy, error) {
	var p policy
	var errs []error
	for _, list := range []struct {
		name     string
		from     []string
		patterns *[]pattern
	}{
		{"allow", cfg.Allow, &p.allow},
		{"deny", cfg.Deny, &p.deny},
		{"deny executables", cfg.DenyExecutables, &p.executables},
		{"deny cgroups", cfg.DenyCgroups, &p.cgroups},
	} {
		for _, text := range list.from {
			compiled, err := newPattern(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", list.name, err))
				continue
			}
			*list.patterns = append(*list.patterns, compiled)
		}
	}
	return p, errors.Join(errs...)
}

// allows says whether a file with that path may be looked at.
func (p *policy) allows(path string) bool {
	return (len(p.allow) == 0 || match(p.allow, path)) && !match(p.deny, path)
}

// deniesProcess says whether a process may not be looked into.
func (p *policy) deniesProcess(executable, cgroup string) bool {
	return match(p.executables, executable) || match(p.cgroups, cgroup)
}

// pattern is a compiled wildcard pattern.
type pattern struct {
	expression *regexp.Regexp
	last       bool // compare with the last part of a path only
}

// newPattern compiles a pattern. Matching takes time linear in the path, which
// is foreign.
func newPattern(text string) (pattern, error) {
	if text == "" {
		return pattern{}, errors.New("empty pattern")
	}
	if !utf8.ValidString(text) {
		return pattern{}, fmt.Errorf("pattern %q: not UTF-8", text)
	}
	var expression strings.Builder
	expression.WriteString(`(?s)\A`)
	for i := 0; i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], "**"):
			expression.WriteString(`.*`)
			i++
		case text[i] == '*':
			expression.WriteString(`[^/]*`)
		case text[i] == '?':
			expression.WriteString(`[^/]`)
		default:
			expression.WriteString(regexp.QuoteMeta(text[i : i+1]))
		}
	}
	expression.WriteString(`\z`)
	compiled, err := regexp.Compile(expression.String())
	if err != nil {
		return pattern{}, fmt.Errorf("pattern %q: %w", text, err)
	}
	return pattern{compiled, !strings.Contains(text, "/")}, nil
}

func match(patterns []pattern, name string) bool {
	for _, p := range patterns {
		if p.last {
			if p.expression.MatchString(path.Base(name)) {
				return true
			}
		} else if p.expression.MatchString(name) {
			return true
		}
	}
	return false
}

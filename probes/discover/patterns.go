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

// pattern is a compiled wildcard pattern, see [Rules].
type pattern struct {
	expression *regexp.Regexp
	baseOnly   bool // the pattern is compared with the last part of a path only
}

// newPattern compiles a pattern. Matching takes time linear in the length of the path, because any user may choose the
// path.
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
		if p.baseOnly {
			if p.expression.MatchString(path.Base(name)) {
				return true
			}
		} else if p.expression.MatchString(name) {
			return true
		}
	}
	return false
}

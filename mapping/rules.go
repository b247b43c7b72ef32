// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"path"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/policy"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// Rules is the part of the configuration that can change while a mapper runs: see [Mapper.Reconfigure]. The zero value
// of a field means its default.
type Rules struct {
	// IdleTimeout is how long a tree may be without an event before it ends; default 2 s.
	IdleTimeout time.Duration
	// Scopes lists which scopes of context names and keys become spans and attributes, such as tls, ssh or pk; empty means
	// all.
	Scopes []string
	// AllowKeys and DenyKeys are patterns for event keys, in the syntax of [path.Match]. A key is excluded if DenyKeys
	// matches it, or if there are AllowKeys and none matches it. Patterns must be valid.
	AllowKeys, DenyKeys []string
	// Policy decides which spans are violations; default: none.
	Policy *policy.Policy
	// Describe, if set, returns additional resource attributes of a process. They replace those of the mapper with the
	// same key. If Describe knows the executable better than p, the kernel's record, it can return
	// process.executable.name.
	Describe func(pid uint32, p event.Process) []attribute.KeyValue
}

const defaultIdleTimeout = 2 * time.Second

// excludes reports whether pairs with this event key are excluded.
func (r *Rules) excludes(emitted string) bool {
	// Event keys are not paths, so a * in a pattern has to match slashes too. Slashes are therefore replaced by a byte
	// that path.Match does not treat specially.
	flat := strings.ReplaceAll(emitted, "/", "\x00")
	matches := func(pattern string) bool {
		ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), flat)
		return ok && err == nil
	}
	if slices.ContainsFunc(r.DenyKeys, matches) || len(r.AllowKeys) > 0 && !slices.ContainsFunc(r.AllowKeys, matches) {
		return true
	}
	if len(r.Scopes) == 0 {
		return false
	}
	scope, _, scoped := strings.Cut(emitted, "::")
	return scoped && !slices.Contains(r.Scopes, scope)
}

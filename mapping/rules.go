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

// Rules is the part of the configuration that may change while a mapper runs: see [Mapper.Reconfigure]. The zero value
// of a field means its default.
type Rules struct {
	// IdleTimeout is how long a tree may be without an event before it ends; default 2 s.
	IdleTimeout time.Duration
	// Scopes, if any, are the only scopes of contexts and keys that spans are made of: tls, ssh, pk and the like.
	Scopes []string
	// AllowKeys and DenyKeys are patterns in the syntax of [path.Match] for event keys. A key that is denied, or not
	// allowed while there are patterns that allow, is left out. Patterns must be valid.
	AllowKeys, DenyKeys []string
	// Policy decides what is a violation; default: nothing is.
	Policy *policy.Policy
	// Describe, if any, returns further resource attributes of a process. They replace those of the mapper: whoever knows
	// better what the process runs than p, the kernel's record, returns process.executable.name.
	Describe func(pid uint32, p event.Process) []attribute.KeyValue
}

const defaultIdleTimeout = 2 * time.Second

// excludes reports whether pairs with an event key are to be left out.
func (r *Rules) excludes(emitted string) bool {
	// Event keys are no paths: a * is to match a slash, too.
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

// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"fmt"
)

// Rules decide which files are reported. They can be changed while a Discoverer runs. The zero value of a limit means
// its default, a negative value means no limit.
//
// Patterns have the wildcards * (anything but /), ** (anything) and ? (one character, not /). A pattern without a slash
// is compared with the last part of a path only.
type Rules struct {
	// Libraries are paths of files that are always reported, regardless of limits and patterns. A file that does not exist
	// yet is reported when it appears.
	Libraries []string

	// Enabled decides whether files other than Libraries are looked for.
	Enabled bool

	Allow           []string // patterns for File.Path; if there are any, one must match
	Deny            []string // patterns for File.Path; none may match
	DenyExecutables []string // patterns for the paths of executables whose processes are ignored
	DenyCgroups     []string // patterns for the cgroup paths of processes that are ignored

	MaxFiles             int // files reported at a time; default 1024
	MaxFilesPerContainer int // files reported at a time for one owner; default 64; a process gets a quarter
	MaxSites             int // probe sites in reported files; default 16384
	MaxSitesPerContainer int // probe sites in reported files of one owner; default 2048; a process gets half
}

// rules are Rules with defaults set and patterns compiled. They are never modified, so helpers can use them
// concurrently.
type rules struct {
	Rules
	allow, deny, executables, cgroups []pattern
}

func compileRules(r Rules) (*rules, error) {
	for _, limit := range []struct {
		value        *int
		defaultValue int
	}{
		{&r.MaxFiles, 1024},
		{&r.MaxFilesPerContainer, 64},
		{&r.MaxSites, 16384},
		{&r.MaxSitesPerContainer, 2048},
	} {
		if *limit.value == 0 {
			*limit.value = limit.defaultValue
		}
	}
	compiled := &rules{Rules: r}
	var errs []error
	for _, list := range []struct {
		name     string
		texts    []string
		patterns *[]pattern
	}{
		{"allow", r.Allow, &compiled.allow},
		{"deny", r.Deny, &compiled.deny},
		{"deny executables", r.DenyExecutables, &compiled.executables},
		{"deny cgroups", r.DenyCgroups, &compiled.cgroups},
	} {
		for _, text := range list.texts {
			p, err := newPattern(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", list.name, err))
				continue
			}
			*list.patterns = append(*list.patterns, p)
		}
	}
	return compiled, errors.Join(errs...)
}

// Excludes returns why the rules keep discovery from finding a file with that path. The caller must know that the rules
// are the cause.
func (r Rules) Excludes(path string) string {
	compiled, err := compileRules(r)
	switch {
	case err != nil:
		return err.Error()
	case !r.Enabled:
		return "discovery.enabled is false"
	case compiled.denies(path):
		return errDenied.Error()
	case !compiled.examines(path):
		return "not allowed by discovery.allow"
	}
	return "denied to all its processes by discovery.deny_executables or discovery.deny_cgroups"
}

// wants reports whether a file with that path may be reported.
func (r *rules) wants(path string) bool { return r.examines(path) && !r.denies(path) }

// examines reports whether a file with that path may be examined.
func (r *rules) examines(path string) bool {
	return r.Enabled && (len(r.allow) == 0 || match(r.allow, path))
}

// denies reports whether a file with that path must not be reported.
func (r *rules) denies(path string) bool { return match(r.deny, path) }

// ignores reports whether a process with that executable and cgroup is ignored.
func (r *rules) ignores(executable, cgroup string) bool {
	return match(r.executables, executable) || match(r.cgroups, cgroup)
}

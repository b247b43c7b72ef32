// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/crau-otel/crau-otel/mapping/policy"
)

// Validate returns all problems of c as joined errors, each of which starts with its key. It returns nil if c is valid.
func (c Config) Validate() error {
	var errs []error
	for _, p := range c.problems() {
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}

func (c Config) problems() problems {
	var p problems
	for i, library := range c.Libraries {
		if library == "" {
			p.add(fmt.Sprintf("libraries[%d]", i), "must be the path of a file, got an empty one")
		}
	}
	c.Discovery.validate(&p)
	c.Wire.validate(&p)
	validateScopes(&p, c.Scopes)
	for i, service := range c.Services {
		service.validate(&p, fmt.Sprintf("services[%d]", i))
	}
	oneOf(&p, "exporter", c.Exporter, ExporterOTLP, ExporterConsole, ExporterNone)
	c.Console.validate(&p)
	c.Log.validate(&p)
	c.Ring.validate(&p)
	c.Spans.validate(&p)
	validatePolicy(&p, c.Policy)
	c.Privacy.validate(&p)
	c.Metrics.validate(&p)
	for i, kind := range c.Sampling.Keep {
		oneOf(&p, fmt.Sprintf("sampling.keep[%d]", i), kind, KeepViolations, KeepDowngrades, KeepWeak)
	}
	c.Limits.validate(&p)
	c.Shutdown.validate(&p)
	validatePprof(&p, c.Pprof)
	return p
}

// validatePprof accepts loopback addresses only, because profiles reveal what the agent has in memory.
func validatePprof(p *problems, address string) {
	if address == "" {
		return
	}
	host, err := netip.ParseAddrPort(address)
	if err != nil || !host.Addr().IsLoopback() {
		p.add("pprof", "must be a loopback address with a port, such as 127.0.0.1:6060, got %q", address)
	}
}

func (s Service) validate(p *problems, key string) {
	if s.Name == "" || !utf8.ValidString(s.Name) {
		p.add(key+".name", "must be a name, got %q", s.Name)
	}
	if s.Executable == "" && s.Unit == "" {
		p.add(key, "must have a pattern under executable or unit")
	}
	for _, pattern := range []struct{ key, text string }{{"executable", s.Executable}, {"unit", s.Unit}} {
		if _, err := path.Match(pattern.text, ""); err != nil {
			p.add(key+"."+pattern.key, "must be a pattern such as nginx*, got %q", pattern.text)
		}
	}
}

func (d Discovery) validate(p *problems) {
	for _, list := range []struct {
		key      string
		patterns []string
	}{{"allow", d.Allow}, {"deny", d.Deny}, {"deny_executables", d.DenyExecutables}, {"deny_cgroups", d.DenyCgroups}} {
		for i, pattern := range list.patterns {
			if pattern == "" || !utf8.ValidString(pattern) {
				p.add(fmt.Sprintf("discovery.%s[%d]", list.key, i), "must be a pattern such as /opt/**, got %q", pattern)
			}
		}
	}
	inRange(p, "discovery.max_files", d.MaxFiles, 1, 1<<16)
	inRange(p, "discovery.max_files_per_container", d.MaxFilesPerContainer, 1, 1<<16)
	inRange(p, "discovery.max_sites", d.MaxSites, 1, 1<<14)
	inRange(p, "discovery.max_sites_per_container", d.MaxSitesPerContainer, 1, 1<<14)
}

const (
	maxDeniedPorts   = 256
	maxDeniedCgroups = 1024
)

func (w Wire) validate(p *problems) {
	inRange(p, "number of wire.deny_ports", len(w.DenyPorts), 0, maxDeniedPorts)
	inRange(p, "number of wire.deny_cgroups", len(w.DenyCgroups), 0, maxDeniedCgroups)
	for i, port := range w.DenyPorts {
		inRange(p, fmt.Sprintf("wire.deny_ports[%d]", i), port, 1, 65535)
	}
	for i, cgroup := range w.DenyCgroups {
		if !path.IsAbs(cgroup) || path.Clean(cgroup) != cgroup {
			p.add(fmt.Sprintf("wire.deny_cgroups[%d]", i), "must be a path such as /system.slice/backup.service, got %q", cgroup)
		}
	}
}

// maxScopes is the largest number of elements of the key scopes.
const maxScopes = 16

var scopeForm = regexp.MustCompile(`^[a-z0-9_]+$`)

func validateScopes(p *problems, scopes []string) {
	if len(scopes) > maxScopes {
		p.add("scopes", "must be at most %d, got %d", maxScopes, len(scopes))
	}
	for i, scope := range scopes {
		if !scopeForm.MatchString(scope) {
			p.add(fmt.Sprintf("scopes[%d]", i), "must be a word of a-z, 0-9 and _ such as tls, got %q", scope)
		}
	}
}

func validatePolicy(p *problems, c policy.Config) {
	_, err := policy.New(c)
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return
	}
	for _, err := range joined.Unwrap() {
		var bad *policy.RuleError
		if errors.As(err, &bad) {
			p.add(fmt.Sprintf("policy.rules[%d].%s", bad.Index, bad.Field), "%v", bad.Err)
		} else {
			p.add("policy.name", "%v", err)
		}
	}
}

func (c Privacy) validate(p *problems) {
	oneOf(p, "privacy.process", c.Process, ProcessNone, ProcessFull)
	patterns(p, "privacy.keys.allow", c.Keys.Allow)
	patterns(p, "privacy.keys.deny", c.Keys.Deny)
}

// patterns adds a problem for each element of list that is not a valid pattern.
func patterns(p *problems, key string, list []string) {
	for i, pattern := range list {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			p.add(fmt.Sprintf("%s[%d]", key, i), "must be a pattern such as tls::*, got %q", pattern)
		}
	}
}

func (m Metrics) validate(p *problems) {
	inRange(p, "metrics.max_series", m.MaxSeries, 16, 1_000_000)
}

func (c Console) validate(p *problems) {
	oneOf(p, "console.format", c.Format, FormatText, FormatJSON)
	oneOf(p, "console.color", c.Color, ColorAuto, ColorAlways, ColorNever)
}

func (l Log) validate(p *problems) {
	oneOf(p, "log.level", l.Level, "debug", "info", "warn", "error")
	oneOf(p, "log.format", l.Format, FormatText, FormatJSON)
}

func (r Ring) validate(p *problems) {
	// The kernel requires a power of two that is a multiple of the page size. 64KiB is the largest page size of amd64 and
	// arm64.
	if inRange(p, "ring.size", r.Size, 64*KiB, GiB) && r.Size&(r.Size-1) != 0 {
		below := 64 * KiB
		for below*2 < r.Size {
			below *= 2
		}
		p.add("ring.size", "must be a power of two, such as %v or %v, got %v", below, below*2, r.Size)
	}
	inRange(p, "ring.poll_interval", r.PollInterval, 100*time.Microsecond, time.Second)
}

func (s Spans) validate(p *problems) {
	inRange(p, "spans.idle_timeout", s.IdleTimeout, 10*time.Millisecond, time.Hour)
	oneOf(p, "spans.detail", s.Detail, DetailFull, DetailHandshake)
	for i, kind := range s.Whole {
		oneOf(p, fmt.Sprintf("spans.whole[%d]", i), kind, KeepViolations, KeepDowngrades, KeepWeak, WholeFailed, WholeFirst)
	}
}

func (l Limits) validate(p *problems) {
	inRange(p, "limits.open_contexts", l.OpenContexts, 1, 1<<24)
	inRange(p, "limits.tree_spans", l.TreeSpans, 1, 1<<20)
	inRange(p, "limits.processes", l.Processes, 1, 1<<22)
	inRange(p, "limits.process_rate", l.ProcessRate, 1000, 100_000_000)
	inRange(p, "limits.open_bytes", l.OpenBytes, MiB, 64*GiB)
	inRange(p, "limits.queue_bytes", l.QueueBytes, MiB, 64*GiB)
}

func (s Shutdown) validate(p *problems) {
	inRange(p, "shutdown.timeout", s.Timeout, 100*time.Millisecond, 10*time.Minute)
}

// A problem is an invalid value of one key.
type problem struct {
	key  string // such as limits.open_contexts or libraries[0]
	text string
}

func (p problem) Error() string { return p.key + ": " + p.text }

type problems []problem

func (p *problems) add(key, format string, args ...any) {
	*p = append(*p, problem{key, fmt.Sprintf(format, args...)})
}

// inRange reports whether got is between low and high, both included, and adds a problem if not.
func inRange[T cmp.Ordered](p *problems, key string, got, low, high T) bool {
	switch {
	case got < low:
		p.add(key, "must be at least %v, got %v", low, got)
	case got > high:
		p.add(key, "must be at most %v, got %v", high, got)
	default:
		return true
	}
	return false
}

// oneOf adds a problem if got is not one of the words in allowed.
func oneOf(p *problems, key, got string, allowed ...string) {
	if !slices.Contains(allowed, got) {
		last := len(allowed) - 1
		p.add(key, "must be %s or %s, got %q", strings.Join(allowed[:last], ", "), allowed[last], got)
	}
}

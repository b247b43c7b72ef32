// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"
)

// report has all results.
type report struct {
	Machine string        `json:"machine"`
	Time    string        `json:"time"`
	Hits    *hits         `json:"hits,omitempty"`
	Loads   []*sustained  `json:"loads,omitempty"`
	GnuTLS  []*handshakes `json:"gnutls,omitempty"`
	Wire    *wireCost     `json:"wire,omitempty"`
	Soak    *soak         `json:"soak,omitempty"`
	Limits  []limit       `json:"limits"`
}

// limit is a figure with its upper bound.
type limit struct {
	What  string  `json:"what"`
	Agent string  `json:"agent"`
	Got   float64 `json:"got"`
	Most  float64 `json:"at_most"`
	Kept  bool    `json:"kept"`
}

// machine describes the machine, without the name of the host.
func machine() string {
	model := runtime.GOARCH
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer f.Close()
		for sc := bufio.NewScanner(f); sc.Scan(); {
			if name, value, ok := strings.Cut(sc.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	var u unix.Utsname
	_ = unix.Uname(&u)
	release, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	return fmt.Sprintf("%s, %d cores, Linux %s, %s", model, runtime.NumCPU(), release, runtime.Version())
}

// judge compares the figures with their limits.
func (r *report) judge(cfg config) {
	add := func(what, agent string, got, most float64) {
		r.Limits = append(r.Limits, limit{what, agent, got, most, got <= most})
	}
	if r.Soak != nil {
		r.Soak.judge(add)
	}
	if r.Wire != nil {
		r.Wire.judge(add, cfg.agents)
	}
	for _, c := range cfg.agents {
		if r.Hits != nil {
			for _, h := range r.Hits.Results {
				most := 1.4
				if h.Kind == "array4" {
					most = 2.2
				}
				what := fmt.Sprintf("%s, %d-byte site, %d threads: cost of a hit to the empty program's", h.Kind, h.Site, h.Threads)
				add(what, c.name, h.Subjects[c.name].ToEmpty.median(), most)
			}
		}
		for _, s := range r.Loads {
			if s.Agent != c.name {
				continue
			}
			add(s.Load+": events lost, %", c.name, 100*s.LostShare, 0)
			add(s.Load+": events missing to the wanted rate, %", c.name, 100*(1-s.PerSecond/s.Wanted), 1)
			add(s.Load+": agent us an event", c.name, s.AgentNsPerEvent/1000, 1.5)
			add(s.Load+": peak MiB", c.name, mib(s.PeakBytes), 150)
			add(s.Load+": MiB at rest", c.name, mib(s.RestBytes), 40)
			if !s.exact() {
				add(s.Load+": hits that are neither exported nor counted", c.name, 1, 0)
			}
		}
		for _, h := range r.GnuTLS {
			add("GnuTLS, "+h.Key+": CPU of program and agent over untraced, %", c.name, h.Subjects[c.name].Over.median(), 5)
		}
	}
}

func (r *report) kept() bool {
	return !slices.ContainsFunc(r.Limits, func(l limit) bool { return !l.Kept })
}

func mib(n uint64) float64 { return float64(n) / (1 << 20) }

func (r *report) print(to io.Writer, cfg config) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	defer w.Flush()
	p := func(format string, args ...any) { fmt.Fprintf(w, format, args...) }
	p("%s\n", r.Machine)
	if r.Hits != nil {
		r.printHits(p, cfg)
	}
	if r.Loads != nil {
		r.printLoads(p)
	}
	for _, h := range r.GnuTLS {
		h.print(p, cfg)
	}
	if r.GnuTLS == nil && cfg.measures("gnutls") {
		p("\nNo GnuTLS with probes in %s: handshakes are not measured. examples/gnutls/build.sh %[1]s builds one.\n", cfg.gnutls)
	}
	if r.Wire != nil {
		r.Wire.print(p, cfg)
	}
	if r.Soak != nil {
		r.printSoak(p)
	}
	p("\nLimits\n")
	for _, l := range r.Limits {
		verdict := "kept"
		if !l.Kept {
			verdict = "NOT KEPT"
		}
		p("%s\t%s\t%.2f\tat most %.2f\t%s\n", l.Agent, l.What, l.Got, l.Most, verdict)
	}
}

type printer = func(format string, args ...any)

func (r *report) printHits(p printer, cfg config) {
	p("\nA hit in the traced thread, ns of CPU: median (quartiles)\nprobe\tsite\tthreads\tsubject\tns\tto empty\tevents/s\tagent ns/event\n")
	names := []string{noTracer, emptyBPF}
	for _, c := range cfg.agents {
		names = append(names, c.name)
	}
	for _, h := range r.Hits.Results {
		for _, name := range names {
			f := h.Subjects[name]
			ratio, agentNs := "", ""
			if f.ToEmpty != nil {
				ratio = fmt.Sprintf("%.2f (%.2f-%.2f)", f.ToEmpty.median(), f.ToEmpty.at(0.25), f.ToEmpty.at(0.75))
				agentNs = fmt.Sprintf("%.0f (%.0f-%.0f)", f.AgentNsPer.median(), f.AgentNsPer.at(0.25), f.AgentNsPer.at(0.75))
			}
			p("%s\t%d\t%d\t%s\t%.0f (%.0f-%.0f)\t%s\t%.0f\t%s\n", h.Kind, h.Site, h.Threads, name,
				f.NsPerHit.median(), f.NsPerHit.at(0.25), f.NsPerHit.at(0.75), ratio, f.PerSecond.median(), agentNs)
		}
	}
	for name, lost := range r.Hits.Lost {
		p("%s lost: %s\n", name, reasons(lost))
	}
}

func (r *report) printLoads(p printer) {
	p("\nSustained loads from two threads\nload\tagent\tevents/s\thits\tspans\tlost\tagent ns/exported event\tns/span\tcores\tMiB rest/peak/after\trest CPU %%\tB/span\ttraced ns/event\treceiver ns/event\n")
	for _, s := range r.Loads {
		p("%s\t%s\t%.0f\t%d\t%d\t%s\t%.0f\t%.0f\t%.2f\t%.0f/%.0f/%.0f\t%.2f\t%.0f\t%.0f\t%.0f\n", s.Load, s.Agent, s.PerSecond, s.Hits, s.Spans,
			reasons(s.Lost), s.AgentNsPerEvent, s.AgentNsPerSpan, s.AgentCores, mib(s.RestBytes), mib(s.PeakBytes),
			mib(s.AfterBytes), s.RestCPU, s.BytesPerSpan, s.TracedNsPerHit, s.ReceiverNsPer)
	}
}

func (h *handshakes) print(p printer, cfg config) {
	p("\nGnuTLS handshakes with %s, both ends, %.1f events and %.1f spans each: CPU us a handshake, %% over untraced: median (quartiles)\n",
		h.Key, h.PerEvents, h.PerSpans)
	p("subject\ttraced us\tagent us\ttraced over %%\ttraced and agent over %%\tlost\n")
	for _, name := range []string{noTracer, emptyBPF} {
		f := h.Subjects[name]
		p("%s\t%.0f (%.0f-%.0f)\t\t%s\t\t\n", name, f.Traced.median(), f.Traced.at(0.25), f.Traced.at(0.75), spread(f.TracedOver))
	}
	for _, c := range cfg.agents {
		f := h.Subjects[c.name]
		p("%s\t%.0f (%.0f-%.0f)\t%.1f\t%s\t%s\t%s\n", c.name, f.Traced.median(), f.Traced.at(0.25), f.Traced.at(0.75),
			f.Agent.median(), spread(f.TracedOver), spread(f.Over), reasons(h.Lost[c.name]))
	}
}

func spread(s series) string {
	if len(s) == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f (%.1f-%.1f)", s.median(), s.at(0.25), s.at(0.75))
}

func reasons(lost map[string]int) string {
	if len(lost) == 0 {
		return "none"
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(lost)) {
		parts = append(parts, fmt.Sprintf("%s=%d", reason, lost[reason]))
	}
	return strings.Join(parts, " ")
}

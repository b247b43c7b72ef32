// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// report contains all results.
type report struct {
	Machine string        `json:"machine"`
	Time    string        `json:"time"`
	Hits    *hits         `json:"hits,omitempty"`
	Loads   []*sustained  `json:"loads,omitempty"`
	GnuTLS  []*handshakes `json:"gnutls,omitempty"`
	Wire    *wireCost     `json:"wire,omitempty"`
	Starts  []*starts     `json:"starts,omitempty"`
	Soak    *soak         `json:"soak,omitempty"`
	Missing []string      `json:"not_measured,omitempty"` // parts that were not measured, each with the reason
	Others  usage         `json:"other_programs"`         // usage during the measurement
	Limits  []limit       `json:"limits"`

	quick bool
}

// limit is a measured figure and its upper bound.
type limit struct {
	What  string  `json:"what"`
	Agent string  `json:"agent"`
	Got   float64 `json:"got"`
	Most  float64 `json:"at_most"`
	Kept  bool    `json:"kept"`
}

// judge compares the figures with their limits. The order of limits is the order of measuring. If a load has several
// rounds, the worst round counts, because no round may lose events.
func (r *report) judge(cfg config) {
	add := func(what, agent string, got, most float64) {
		i := slices.IndexFunc(r.Limits, func(l limit) bool { return l.What == what && l.Agent == agent })
		if i < 0 {
			r.Limits = append(r.Limits, limit{what, agent, got, most, got <= most})
		} else if l := &r.Limits[i]; got > l.Got {
			l.Got, l.Kept = got, got <= most
		}
	}
	for _, c := range cfg.agents {
		if r.Hits != nil {
			for _, h := range r.Hits.Results {
				most := 1.4
				if h.Kind == "array4" {
					most = 2.2
				}
				threads := map[int]string{1: "one thread", 2: "two threads"}[h.Threads]
				what := fmt.Sprintf("hit, %s, %d-byte site, %s: times the empty program", h.Kind, h.Site, threads)
				add(what, c.name, h.Subjects[c.name].ToEmpty.median(), most)
			}
		}
		for _, s := range r.Loads {
			if s.Agent != c.name {
				continue
			}
			load := "load " + s.Load
			add(load+": events lost, %", c.name, 100*s.LostShare, 0)
			add(load+": events missing to the wanted rate, %", c.name, 100*(1-s.PerSecond/s.Wanted), 1)
			add(load+": CPU of the agent, us an event", c.name, s.AgentNsPerEvent/1000, 1.5)
			add(load+": MiB at the peak", c.name, mib(s.PeakBytes), 150)
			add(load+": MiB at rest", c.name, mib(s.RestBytes), 40)
			if !s.exact() {
				add(load+": hits that are neither exported nor counted", c.name, 1, 0)
			}
		}
		for _, h := range r.GnuTLS {
			add("GnuTLS, "+h.Key+": CPU of program and agent over untraced, %", c.name, h.Subjects[c.name].Over.median(), 5)
		}
	}
	if r.Wire != nil {
		r.Wire.judge(add, cfg.agents)
	}
	judgeStarts(add, r.Starts)
	if r.Soak != nil {
		r.Soak.judge(add)
	}
}

func (r *report) kept() bool {
	return !slices.ContainsFunc(r.Limits, func(l limit) bool { return !l.Kept })
}

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
	if r.Wire != nil {
		r.Wire.print(p, cfg)
	}
	if r.Starts != nil {
		printStarts(p, r.Starts)
	}
	if r.Soak != nil {
		r.printSoak(p)
	}
	r.printLimits(p)
}

// printLimits prints each limit with its figure, and a summary.
func (r *report) printLimits(p printer) {
	p("\nLimits\nlimit\tagent\tfigure\tat most\t\n")
	missed := 0
	for _, l := range r.Limits {
		verdict := "kept"
		if !l.Kept {
			verdict = "MISSED"
			missed++
		}
		p("%s\t%s\t%.2f\t%.2f\t%s\n", l.What, l.Agent, l.Got, l.Most, verdict)
	}
	p("\n%d of %d limits kept, %d missed.\n", len(r.Limits)-missed, len(r.Limits), missed)
	for _, what := range r.Missing {
		p("Not measured: %s.\n", what)
	}
	if r.quick {
		p("--quick has too few rounds to judge by.\n")
	}
	p("Other programs used %.2f cores meanwhile, and the host withheld %.2f.", r.Others.Cores, r.Others.Stolen)
	if r.Others.Cores > quietCores || r.Others.Stolen > quietCores {
		p(" That is too much to judge by: of these figures, only ratios between agents of one run mean something.")
	}
	p("\n")
}

func (r *report) printLoads(p printer) {
	p("\nSustained loads from two threads\nload\tagent\tevents/s\thits\tspans\tlost\tagent ns/exported event\tns/span\tcores\tMiB rest/peak/after\trest CPU %%\tB/span\ttraced ns/event\treceiver ns/event\n")
	for _, s := range r.Loads {
		p("%s\t%s\t%.0f\t%d\t%d\t%s\t%.0f\t%.0f\t%.2f\t%.0f/%.0f/%.0f\t%.2f\t%.0f\t%.0f\t%.0f\n", s.Load, s.Agent, s.PerSecond, s.Hits, s.Spans,
			reasons(s.Lost), s.AgentNsPerEvent, s.AgentNsPerSpan, s.AgentCores, mib(s.RestBytes), mib(s.PeakBytes),
			mib(s.AfterBytes), s.RestCPU, s.BytesPerSpan, s.TracedNsPerHit, s.ReceiverNsPer)
	}
}

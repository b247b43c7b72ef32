// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// shape describes a burst of hits.
type shape struct {
	Kind    string `json:"kind"`
	Site    int    `json:"site_bytes"`
	Threads int    `json:"threads"`
	hits    int
}

// shapes returns the shapes of all bursts. Bursts of arrays have fewer hits, so that a burst of two threads fits into
// the ring.
func shapes() (all []shape) {
	for _, site := range []int{1, 5} {
		for _, threads := range []int{1, 2} {
			for _, kind := range []string{"word", "string", "array4"} {
				hits := 20000
				if kind == "array4" {
					hits = 10000
				}
				all = append(all, shape{Kind: kind, Site: site, Threads: threads, hits: hits})
			}
		}
	}
	return all
}

// hitResult is the cost of bursts of one shape, by the name of the subject.
type hitResult struct {
	shape
	Subjects map[string]*hitFigures `json:"subjects"`
}

type hitFigures struct {
	NsPerHit  series `json:"ns_per_hit"`  // CPU time of the traced thread
	WallNs    series `json:"wall_ns_hit"` // wall time of the traced thread
	PerSecond series `json:"events_per_second"`
	// ToEmpty is the cost of a hit divided by its cost with the empty BPF program in the same round. The cost without a
	// tracer is subtracted from both before.
	ToEmpty    series `json:"ratio_to_empty,omitzero"`
	AgentNsPer series `json:"agent_ns_per_event,omitzero"`
}

// hits are the results of the part hits: bursts of hits at full speed.
type hits struct {
	Results []*hitResult              `json:"results"`
	Lost    map[string]map[string]int `json:"lost"` // by agent and loss reason
}

func measureHits(cfg config, r *harness.Receiver) (_ *hits, err error) {
	files := make([]string, 0, 2)
	for _, site := range []int{1, 5} {
		file := filepath.Join(cfg.dir, fmt.Sprintf("load%d", site))
		if err := buildLoad(cfg, file, site); err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	subjects, err := newSubjects(cfg.dir, files, cfg.agents, r)
	if err != nil {
		return nil, err
	}
	h := &hits{Lost: make(map[string]map[string]int)}
	if err := h.rounds(cfg, subjects); err != nil {
		_ = closeSubjects(subjects)
		return nil, err
	}
	if err := closeSubjects(subjects); err != nil {
		return nil, err
	}
	for _, s := range subjects[2:] {
		h.Lost[s.name] = s.totals.Lost()
	}
	return h, nil
}

func (h *hits) rounds(cfg config, subjects []*subject) error {
	generators := make(map[string]*generator)
	defer func() {
		for _, g := range generators {
			g.Close()
		}
	}()
	for _, s := range subjects {
		for _, file := range s.files {
			g, err := startGenerator(file)
			if err != nil {
				return err
			}
			generators[file] = g
		}
	}
	for _, shape := range shapes() {
		result := &hitResult{shape: shape, Subjects: make(map[string]*hitFigures)}
		for _, s := range subjects {
			result.Subjects[s.name] = &hitFigures{}
		}
		h.Results = append(h.Results, result)
	}
	for round := -1; round < cfg.hitRounds; round++ { // round -1 warms up and is not counted
		cfg.progress("hits", round, cfg.hitRounds)
		for _, result := range h.Results {
			if err := result.round(round, subjects, generators); err != nil {
				return err
			}
		}
	}
	return nil
}

// round makes one burst of the shape for every subject. The order of subjects changes from round to round. Figures of
// negative rounds are dropped.
func (r *hitResult) round(round int, subjects []*subject, generators map[string]*generator) error {
	const quiet = 20 * time.Millisecond
	cost := make(map[string]float64)
	for i := range subjects {
		s := subjects[(i+round+1)%len(subjects)]
		file := s.files[0]
		if r.Site == 5 {
			file = s.files[1]
		}
		var f fired
		spent, err := s.spent(quiet, func() (err error) {
			f, err = generators[file].do("burst %s %d %d", r.Kind, r.Threads, r.hits)
			return err
		})
		if err != nil {
			return err
		}
		n := float64(f.hits)
		cost[s.name] = float64(f.cpu) / n
		if round < 0 {
			continue
		}
		figures := r.Subjects[s.name]
		figures.NsPerHit.add(cost[s.name])
		figures.WallNs.add(float64(f.wall) * float64(r.Threads) / n)
		figures.PerSecond.add(n / f.wall.Seconds())
		if s.agent != nil {
			figures.AgentNsPer.add(float64(spent) / n)
		}
	}
	if round < 0 {
		return nil
	}
	for _, s := range subjects[2:] {
		r.Subjects[s.name].ToEmpty.add((cost[s.name] - cost[noTracer]) / (cost[emptyBPF] - cost[noTracer]))
	}
	return nil
}

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

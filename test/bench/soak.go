// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// soak is the result of a long load: what was lost, and whether memory or goroutines grow.
type soak struct {
	sustained
	Seconds float64  `json:"seconds"`
	Outage  float64  `json:"outage_seconds,omitempty"` // duration of each of two outages of the receiver, see outages
	Samples []sample `json:"samples"`
}

// sample is the state of crau-otel at one time.
type sample struct {
	Seconds    float64 `json:"seconds"` // time since the start of the load
	RSS        uint64  `json:"rss_bytes"`
	Goroutines int     `json:"goroutines"`
	Cores      float64 `json:"agent_cores"` // average since the previous sample
	Received   uint64  `json:"received_spans"`
	Up         bool    `json:"receiver_up"`
}

// Limits of a soak. They apply to medians of each third of the time, because a single sample may be taken while the
// exporter's queue is full.
const (
	growthLimit    = 1.15 // ratio of the resident set in the last third to that in the second third
	goroutineLimit = 5
)

func measureSoak(cfg config) (*soak, error) {
	if err := harness.BuildSample(cfg.root, cfg.dir); err != nil {
		return nil, err
	}
	l := loads()[0]
	program := filepath.Join(cfg.dir, "sample")
	r, err := harness.NewReceiver(harness.ReceiverConfig{CountOnly: true})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if cfg.outage > 0 {
		r.Close()
	}
	c := cfg.agents[0]
	a, err := startAgent(c.path, r, []string{program}, "--pprof", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &soak{sustained: sustained{Load: l.name, What: l.what, Agent: c.name, Wanted: cfg.rate}, Outage: cfg.outage.Seconds()}
	err = s.run(cfg, l, a, r)
	totals, stopErr := a.Stop()
	if err = errors.Join(err, stopErr); err != nil {
		return nil, err
	}
	s.account(totals, r)
	return s, nil
}

// run runs the load, takes samples of the agent, and stops the receiver during the outages.
func (s *soak) run(cfg config, l load, a *agent, r *harness.Receiver) error {
	a.settle(200 * time.Millisecond)
	var err error
	if s.RestBytes, _, err = harness.Memory(a.PID()); err != nil {
		return err
	}
	before, start := a.cpu(), time.Now()
	var f fired
	ended := make(chan error, 1)
	go func() {
		var err error
		f, err = fireTrees(cfg, l, filepath.Join(cfg.dir, "sample"))
		ended <- err
	}()
	tick := time.NewTicker(cfg.sampleEvery)
	defer tick.Stop()
	changes := outages(cfg)
	up := cfg.outage == 0
	last, lastTime := before, start
	for done := false; !done; {
		var change <-chan time.Time
		if len(changes) > 0 {
			change = time.After(time.Until(start.Add(changes[0])))
		}
		select {
		case err := <-ended:
			if err != nil {
				return err
			}
			done = true
		case <-change:
			changes, up = changes[1:], !up
			if up {
				if err := r.Listen(); err != nil {
					return err
				}
			} else {
				r.Close()
			}
		case now := <-tick.C:
			cpu := a.cpu()
			m := sample{
				Seconds: now.Sub(start).Seconds(), Cores: (cpu - last).Seconds() / now.Sub(lastTime).Seconds(),
				Received: r.Accepted.Load(), Up: up,
			}
			last, lastTime = cpu, now
			if m.RSS, _, err = harness.Memory(a.PID()); err != nil {
				return err
			}
			if m.Goroutines, err = a.goroutines(); err != nil {
				return err
			}
			s.Samples = append(s.Samples, m)
			fmt.Printf("%6.0f s  %5.1f MiB  %3d goroutines  %.2f cores  %d spans received  receiver up: %v\n", m.Seconds, mib(m.RSS),
				m.Goroutines, m.Cores, m.Received, m.Up)
		}
	}
	s.Seconds = time.Since(start).Seconds()
	s.AgentCores = (a.cpu() - before).Seconds() / f.wall.Seconds()
	time.Sleep(3 * time.Second) // trees end after two seconds without events
	a.settle(200 * time.Millisecond)
	s.Fired, s.PerSecond = f.hits, float64(f.hits)/f.wall.Seconds()
	s.spent = a.cpu() - before
	s.AfterBytes, s.PeakBytes, err = harness.Memory(a.PID())
	return err
}

// outages returns when the receiver starts, stops and starts again, relative to the start of the load. The receiver is
// unavailable from the start for cfg.outage, and a second time for cfg.outage after a third of the remaining time.
func outages(cfg config) []time.Duration {
	if cfg.outage == 0 {
		return nil
	}
	second := cfg.outage + (cfg.loadTime-cfg.outage)/3
	return []time.Duration{cfg.outage, second, second + cfg.outage}
}

var goroutinesField = regexp.MustCompile(`goroutine profile: total (\d+)`)

func (a *agent) goroutines() (int, error) {
	var out bytes.Buffer
	if err := a.profiles("goroutine?debug=1", &out); err != nil {
		return 0, err
	}
	m := goroutinesField.FindSubmatch(out.Bytes())
	if m == nil {
		return 0, errors.New("the profile of goroutines has no total")
	}
	return strconv.Atoi(string(m[1]))
}

// thirds returns the medians of a figure in the second and in the last third of the samples, and its maximum in all
// samples.
func (s *soak) thirds(of func(sample) float64) (middle, last, most float64) {
	var all series
	for _, m := range s.Samples {
		all.add(of(m))
	}
	if len(all) < 3 {
		return all.median(), all.median(), all.at(1)
	}
	n := len(all)
	return all[n/3 : 2*n/3].median(), all[2*n/3:].median(), all.at(1)
}

func (s *soak) judge(add func(what, agent string, got, most float64)) {
	if s.Outage == 0 {
		add("soak: events lost, %", s.Agent, 100*s.LostShare, 0)
	}
	add("soak: events missing to the wanted rate, %", s.Agent, 100*(1-s.PerSecond/s.Wanted), 1)
	add("soak: peak MiB", s.Agent, mib(s.PeakBytes), 150)
	middle, last, _ := s.thirds(func(m sample) float64 { return float64(m.RSS) })
	add("soak: resident set of the last third to the second", s.Agent, last/middle, growthLimit)
	middle, last, _ = s.thirds(func(m sample) float64 { return float64(m.Goroutines) })
	add("soak: goroutines of the last third over the second", s.Agent, last-middle, goroutineLimit)
	if !s.exactlyReceived() {
		add("soak: hits that are neither exported nor counted", s.Agent, 1, 0)
	}
}

// exactlyReceived does the same as exact, but accepts that spans arrived twice if there were outages: the receiver may
// be stopped before it answers.
func (s *soak) exactlyReceived() bool {
	again := s.sustained
	if s.Outage > 0 && s.Received > s.Spans {
		again.Received = s.Spans
	}
	return again.exact()
}

func (r *report) printSoak(p printer) {
	s := r.Soak
	middle, last, most := s.thirds(func(m sample) float64 { return mib(m.RSS) })
	_, goroutines, mostGoroutines := s.thirds(func(m sample) float64 { return float64(m.Goroutines) })
	p("\nSoak of %.0f s at %.0f events/s, receiver away for %.0f s twice\n", s.Seconds, s.PerSecond, s.Outage)
	p("hits\tspans\treceived\tlost\tagent ns/exported event\tcores\tMiB rest/second third/last third/peak/after\tgoroutines last third/most\n")
	p("%d\t%d\t%d\t%s\t%.0f\t%.2f\t%.0f/%.0f/%.0f/%.0f/%.0f\t%.0f/%.0f\n", s.Hits, s.Spans, s.Received, reasons(s.Lost), s.AgentNsPerEvent, s.AgentCores,
		mib(s.RestBytes), middle, last, max(most, mib(s.PeakBytes)), mib(s.AfterBytes), goroutines, mostGoroutines)
}

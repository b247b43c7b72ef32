// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// sustained is the result of one load.
type sustained struct {
	Load            string         `json:"load"`
	What            string         `json:"what"`
	Agent           string         `json:"agent"`
	Wanted          float64        `json:"wanted_events_per_second"`
	PerSecond       float64        `json:"events_per_second"` // as fired by the traced program
	Hits            uint64         `json:"hits"`
	Fired           uint64         `json:"fired"` // number of hits that the traced program reports
	Exported        uint64         `json:"exported_events"`
	Spans           uint64         `json:"exported_spans"`
	Received        uint64         `json:"received_spans"`
	Lost            map[string]int `json:"lost"`
	LostShare       float64        `json:"lost_share"`
	AgentNsPerEvent float64        `json:"agent_ns_per_event"` // until everything is exported
	AgentNsPerSpan  float64        `json:"agent_ns_per_span"`
	AgentCores      float64        `json:"agent_cores"`           // during the load
	TracedNsPerHit  float64        `json:"traced_ns_per_event"`   // CPU time of the traced program
	ReceiverNsPer   float64        `json:"receiver_ns_per_event"` // CPU time of this program
	BytesPerSpan    float64        `json:"otlp_bytes_per_span"`
	RestBytes       uint64         `json:"rss_at_rest_bytes"`    // before the load
	PeakBytes       uint64         `json:"peak_rss_bytes"`       // during the load
	AfterBytes      uint64         `json:"rss_after_load_bytes"` // some seconds after the load
	RestCPU         float64        `json:"cpu_at_rest_percent"`

	spent    time.Duration // CPU time of the agent
	received time.Duration // CPU time of this program, which contains the receiver
}

// exact reports whether every hit was exported or counted as lost, and every exported span was received.
func (s *sustained) exact() bool {
	sum := s.Exported
	for _, n := range s.Lost {
		sum += uint64(n)
	}
	return sum == s.Hits && s.Hits == s.Fired && s.Spans == s.Received
}

func measureLoads(cfg config) (all []*sustained, err error) {
	if err := harness.BuildSample(cfg.root, cfg.dir); err != nil {
		return nil, err
	}
	if err := buildLoad(cfg, filepath.Join(cfg.dir, "load5"), 5); err != nil {
		return nil, err
	}
	for round := range cfg.loadRounds {
		for _, l := range loads() {
			if !slices.Contains(strings.Split(cfg.loads, ","), l.name) {
				continue
			}
			for i := range cfg.agents {
				c := cfg.agents[(i+round)%len(cfg.agents)]
				cfg.progress("load "+l.name, round, cfg.loadRounds)
				s, err := measureLoad(cfg, l, c)
				if err != nil {
					return nil, fmt.Errorf("load %s under %s: %w", l.name, c.name, err)
				}
				all = append(all, s)
			}
		}
	}
	return all, nil
}

func measureLoad(cfg config, l load, c candidate) (_ *sustained, err error) {
	r, err := harness.NewReceiver(harness.ReceiverConfig{CountOnly: true})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	program := filepath.Join(cfg.dir, "sample")
	if l.perTree == 0 {
		program = filepath.Join(cfg.dir, "load5")
	}
	args := slices.Clone(l.agent)
	if cfg.profiles != "" {
		args = append(args, "--pprof", "127.0.0.1:0")
	}
	a, err := startAgent(c.path, r, []string{program}, args...)
	if err != nil {
		return nil, err
	}
	s := &sustained{Load: l.name, What: l.what, Agent: c.name, Wanted: cfg.rate}
	if err := s.run(cfg, l, a, program); err != nil {
		_, stopErr := a.Stop()
		return nil, errors.Join(err, stopErr)
	}
	totals, err := a.Stop()
	if err != nil {
		return nil, err
	}
	s.account(totals, r)
	return s, nil
}

// account sets the figures that follow from the agent's totals and from what the receiver counted.
func (s *sustained) account(totals harness.Totals, r *harness.Receiver) {
	s.Hits, s.Exported, s.Spans = uint64(totals["hits"]), uint64(totals["events.exported"]), uint64(totals["spans"])
	s.Lost, s.Received = totals.Lost(), r.Accepted.Load()
	for _, n := range s.Lost {
		s.LostShare += float64(n) / float64(s.Hits)
	}
	s.AgentNsPerEvent = float64(s.spent) / float64(max(s.Exported, 1))
	s.ReceiverNsPer = float64(s.received) / float64(max(s.Exported, 1))
	s.AgentNsPerSpan = float64(s.spent) / float64(max(s.Spans, 1))
	s.BytesPerSpan = float64(r.Bytes.Load()) / float64(max(s.Received, 1))
}

// run runs the load and observes the agent before, during and after it.
func (s *sustained) run(cfg config, l load, a *agent, program string) error {
	const rest = time.Second
	a.settle(200 * time.Millisecond)
	idle := a.cpu()
	time.Sleep(rest)
	s.RestCPU = 100 * float64(a.cpu()-idle) / float64(rest)
	var err error
	if s.RestBytes, _, err = harness.Memory(a.PID()); err != nil {
		return err
	}
	before, own := a.cpu(), harness.OwnCPUTime()
	profiled := make(chan error, 1)
	if cfg.profiles == "" {
		profiled <- nil
	} else {
		go func() { profiled <- a.profile(cfg.profiles, s.Agent+"-"+l.name, max(1, int(cfg.loadTime.Seconds()))) }()
	}
	var f fired
	if l.perTree == 0 {
		f, err = fireWords(cfg, program)
	} else {
		f, err = fireTrees(cfg, l, program)
	}
	if err != nil {
		return err
	}
	s.AgentCores = (a.cpu() - before).Seconds() / f.wall.Seconds()
	// Trees end after two seconds without events, and are exported within one more second.
	time.Sleep(3 * time.Second)
	a.settle(200 * time.Millisecond)
	s.Fired = f.hits
	s.PerSecond = float64(f.hits) / f.wall.Seconds()
	s.TracedNsPerHit = float64(f.cpu) / float64(f.hits)
	s.spent, s.received = a.cpu()-before, harness.OwnCPUTime()-own
	s.AfterBytes, s.PeakBytes, err = harness.Memory(a.PID())
	return errors.Join(err, <-profiled)
}

func fireWords(cfg config, program string) (fired, error) {
	g, err := startGenerator(program)
	if err != nil {
		return fired{}, err
	}
	defer g.Close()
	return g.do("pace word %d %f %f", 2, cfg.rate, cfg.loadTime.Seconds())
}

func fireTrees(cfg config, l load, program string) (f fired, err error) {
	trees := cfg.rate / float64(l.perTree)
	count := int(trees * cfg.loadTime.Seconds())
	args := append([]string{"--threads", "2", "--rate", fmt.Sprint(trees), "--count", strconv.Itoa(count)}, l.args...)
	cmd := exec.Command(program, args...)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return f, fmt.Errorf("sample program: %w\n%s", err, out)
	}
	f.wall = time.Since(start)
	f.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	hits, err := harness.ParseFired(string(out))
	if err != nil {
		return f, err
	}
	f.hits = uint64(hits)
	return f, nil
}

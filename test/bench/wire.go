// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/test/harness"
)

// wireLoad is traffic over the loopback device. Both ends are on this machine, and the CPU time of both is measured.
type wireLoad struct {
	Name  string  `json:"load"`
	Where string  `json:"ends_on"`
	Most  float64 `json:"at_most_percent"` // limit of the additional CPU time with crau-otel

	Base     series                 `json:"ns_per_unit"`               // CPU time without BPF programs at sockets
	Runs     float64                `json:"runs_per_unit"`             // number of runs of the agent's BPF programs
	Empty    series                 `json:"empty_percent"`             // additional CPU time with empty BPF programs
	Programs map[string]series      `json:"programs_percent"`          // additional CPU time by agent
	ToEmpty  map[string]series      `json:"programs_to_empty_percent"` // additional to empty BPF programs
	Agent    map[string]*agentShare `json:"agent"`

	run   func(s *wireStage, where placement, d time.Duration) (amount, error)
	where placement
	opens bool // each unit is a new connection
}

// agentShare is the average CPU time of an agent's process in percent of the CPU time of the traffic without BPF
// programs. It is an average because the agent wakes up too rarely for a median.
type agentShare struct {
	With    float64 `json:"percent"`         // in rounds with the agent's BPF programs
	Without float64 `json:"percent_at_rest"` // in rounds without BPF programs
}

func wireLoads() (loads []*wireLoad) {
	traffic := func(args ...string) func(*wireStage, placement, time.Duration) (amount, error) {
		return func(s *wireStage, where placement, d time.Duration) (amount, error) {
			return s.traffic(where, d, args...)
		}
	}
	for _, where := range []placement{onEach, onOne} {
		loads = append(loads, &wireLoad{
			Name: "nginx, 1 KiB over kept connections", Most: 2, where: where,
			run: func(s *wireStage, where placement, d time.Duration) (amount, error) {
				return s.traffic(where, d, "get", s.http)
			},
		}, &wireLoad{Name: "one stream at full speed", Most: 0.5, where: where, run: traffic("stream")},
			&wireLoad{Name: "1-byte ping-pong", Most: 3, where: where, run: traffic("pingpong")})
	}
	loads = append(loads, &wireLoad{
		Name: "nginx, a TLS connection each", Most: 5, where: onOne, opens: true, run: (*wireStage).handshakes,
	})
	for _, l := range loads {
		l.Where = l.where.name
		l.Programs, l.ToEmpty, l.Agent = make(map[string]series), make(map[string]series), make(map[string]*agentShare)
	}
	return loads
}

// wireCost are the results of the part wire: the cost of tracing connections.
type wireCost struct {
	Loads  []*wireLoad `json:"loads"`
	Packet *packetCost `json:"packet"`
	Floods []*flood    `json:"floods"` // measured with the last agent
}

// measureWire alternates rounds of traffic without BPF programs at sockets, with empty ones and with those of each
// agent. All agents run all the time. Only their BPF programs are attached and detached, so that rounds can be short
// and follow each other immediately.
func measureWire(cfg config, r *harness.Receiver) (_ *wireCost, err error) {
	s, err := newWireStage(cfg)
	if err != nil {
		return nil, err
	}
	defer s.close()
	empty, err := emptySocketPrograms()
	if err != nil {
		return nil, err
	}
	defer empty.close()
	subjects := []wireSubject{{}, {programs: empty}}
	for _, c := range cfg.agents {
		subject, err := startWireAgent(c, r)
		if err != nil {
			return nil, err
		}
		defer func() {
			subject.programs.close()
			_, stopErr := subject.running.Stop()
			err = errors.Join(err, stopErr)
		}()
		subjects = append(subjects, subject)
	}
	cost := &wireCost{}
	for _, l := range wireLoads() {
		if cfg.wireLoads != "" && !strings.Contains(l.Name, cfg.wireLoads) {
			continue
		}
		if err := l.measure(cfg, s, subjects); err != nil {
			return nil, fmt.Errorf("%s: %w", l.Name, err)
		}
		cost.Loads = append(cost.Loads, l)
	}
	if cost.Packet, err = measurePacket(s, empty, subjects[len(subjects)-1].programs); err != nil {
		return nil, err
	}
	for _, rate := range []int{wantedConnections, 0} {
		cfg.progress("connections", 0, 1)
		f, err := measureFlood(cfg, cfg.agents[len(cfg.agents)-1], r, rate, cfg.connections)
		if err != nil {
			return cost, fmt.Errorf("connections: %w", err)
		}
		cost.Floods = append(cost.Floods, f)
	}
	return cost, nil
}

// wantedConnections is the number of connections per second that an agent must account for.
const wantedConnections = 5000

// measure runs a load in rounds. In each round the load runs once with each subject, in an order that rotates.
func (l *wireLoad) measure(cfg config, s *wireStage, subjects []wireSubject) error {
	if err := s.place(l.where); err != nil {
		return err
	}
	rounds, length := cfg.wireRounds, cfg.wireTime
	if l.opens {
		rounds, length = cfg.connectionRounds, time.Second
	}
	var base amount
	own := make(map[string]*[2]float64) // by agent: sums of ns per unit, without BPF programs and with its own
	for _, subject := range subjects {
		if subject.running != nil {
			own[subject.agent] = new([2]float64)
		}
	}
	for round := -1; round < rounds; round++ { // round -1 warms up and is not counted
		cfg.progress(l.Name+", "+l.Where, round, rounds)
		took := make([]float64, len(subjects))
		for i := range subjects {
			which := (i + round + 1) % len(subjects)
			if round%2 != 0 {
				which = len(subjects) - 1 - which
			}
			a, spent, err := l.runWith(s, length, subjects, subjects[which])
			if err != nil {
				return err
			}
			took[which] = a.perUnit()
			if round < 0 {
				continue
			}
			if which == 0 {
				base.units += a.units
				base.cpu += a.cpu
			}
			for name, sums := range own {
				switch subjects[which] {
				case subjects[0]:
					sums[0] += float64(spent[name]) / a.units
				case subjectOf(subjects, name):
					sums[1] += float64(spent[name]) / a.units
				}
			}
		}
		if round >= 0 {
			l.add(took, subjects)
		}
	}
	for name, sums := range own {
		percent := 100 / base.perUnit() / float64(rounds)
		l.Agent[name] = &agentShare{With: sums[1] * percent, Without: sums[0] * percent}
	}
	return l.countRuns(s, subjects[len(subjects)-1].programs)
}

// add adds the costs of one round. took is the CPU time per unit with each subject.
func (l *wireLoad) add(took []float64, subjects []wireSubject) {
	l.Base.add(took[0])
	l.Empty.add(100 * (took[1]/took[0] - 1))
	for i, subject := range subjects[2:] {
		over, toEmpty := l.Programs[subject.agent], l.ToEmpty[subject.agent]
		over.add(100 * (took[i+2]/took[0] - 1))
		toEmpty.add(100 * (took[i+2]/took[1] - 1))
		l.Programs[subject.agent], l.ToEmpty[subject.agent] = over, toEmpty
	}
}

// countRuns measures how often BPF programs run per unit of traffic.
func (l *wireLoad) countRuns(s *wireStage, programs *socketPrograms) error {
	detach, err := programs.attach()
	if err != nil {
		return err
	}
	defer detach()
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return fmt.Errorf("enable run-time statistics: %w", err)
	}
	defer stats.Close()
	before, err := programs.runTime()
	if err != nil {
		return err
	}
	a, err := l.run(s, l.where, 200*time.Millisecond)
	if err != nil {
		return err
	}
	after, err := programs.runTime()
	l.Runs = float64(after.runs-before.runs) / a.units
	return err
}

// untilExported is longer than the time until the agent reads the ring buffer plus the time until it exports a batch.
const untilExported = 700 * time.Millisecond

// runWith runs a load while the subject's BPF programs are attached. It returns the amount of traffic and the CPU time
// that each agent used.
func (l *wireLoad) runWith(s *wireStage, d time.Duration, all []wireSubject, subject wireSubject) (
	_ amount, spent map[string]time.Duration, err error,
) {
	detach, err := subject.programs.attach()
	if err != nil {
		return amount{}, nil, err
	}
	defer detach()
	cpu := func() map[string]time.Duration {
		used := make(map[string]time.Duration)
		for _, other := range all {
			if other.running != nil {
				used[other.agent] = other.running.cpu()
			}
		}
		return used
	}
	before := cpu()
	a, err := l.run(s, l.where, d)
	if l.opens {
		time.Sleep(untilExported)
	}
	spent = cpu()
	for name := range spent {
		spent[name] -= before[name]
	}
	return a, spent, err
}

// over returns the additional CPU time with an agent in percent: that of its BPF programs and that of its process.
func (l *wireLoad) over(agent string) float64 {
	return l.Programs[agent].median() + l.Agent[agent].With
}

func (w *wireCost) judge(add func(what, agent string, got, most float64), agents []candidate) {
	for _, l := range w.Loads {
		for _, c := range agents {
			add(l.Name+", ends on "+l.Where+": CPU of both ends and the agent over that without, %", c.name, l.over(c.name), l.Most)
		}
	}
	add("a packet of a connection that is done, ns over an empty program", agents[len(agents)-1].name, w.Packet.Over.median(), 80)
	for _, f := range w.Floods {
		missing := 0.0
		if !f.AddsUp {
			missing = 1
		}
		add(fmt.Sprintf("%d connections: not accounted for", f.Made), agents[len(agents)-1].name, missing, 0)
	}
}

func (w *wireCost) print(p printer, cfg config) {
	p("\nTraffic over sockets, CPU of both ends: median (95%% interval of the median); the agent's own: mean, and at rest\n" +
		"load\tends on\tus a unit\truns\tempty programs %%\t\tits programs %%\tits to empty %%\tagent %%\tat rest %%\tall over %%\n")
	for _, l := range w.Loads {
		for _, c := range cfg.agents {
			p("%s\t%s\t%.2f\t%.1f\t%s\t%s\t%s\t%s\t%.2f\t%.2f\t%.2f\n", l.Name, l.Where, l.Base.median()/1000, l.Runs, l.Empty.estimate(),
				c.name, l.Programs[c.name].estimate(), l.ToEmpty[c.name].estimate(), l.Agent[c.name].With, l.Agent[c.name].Without, l.over(c.name))
		}
	}
	p("a packet of a connection that is done: %.0f ns, empty program %.0f ns, over it %s ns\n", w.Packet.Wire.median(),
		w.Packet.Empty.median(), spread(w.Packet.Over))
	for _, f := range w.Floods {
		f.print(p)
	}
}

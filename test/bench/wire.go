// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// wireLoad is traffic over the loopback, of which both ends count.
type wireLoad struct {
	Name string  `json:"load"`
	Most float64 `json:"at_most_percent"` // more CPU with crau-otel
	// run makes traffic for that time and returns how much CPU time a unit of it took at both ends.
	run func(s *wireStage, d time.Duration) (perUnit time.Duration, err error)

	Base     series            `json:"ns_per_unit"`               // without crau-otel
	Overhead map[string]series `json:"overhead_percent"`          // by agent, its own CPU time included
	Agent    map[string]series `json:"agent_percent"`             // the agent's own CPU time alone
	Empty    series            `json:"empty_percent,omitzero"`    // empty programs; see measureSockets
	Programs series            `json:"programs_percent,omitzero"` // crau-otel's programs alone

	opens bool // a unit opens a connection
}

func wireLoads() []*wireLoad {
	return []*wireLoad{
		{Name: "nginx, 1 KiB over kept connections", Most: 2, run: func(s *wireStage, d time.Duration) (time.Duration, error) {
			return s.traffic(d, "get", s.http)
		}},
		{Name: "nginx, a TLS connection each", Most: 5, opens: true, run: (*wireStage).handshakes},
		{Name: "one stream at full speed", Most: 0.5, run: func(s *wireStage, d time.Duration) (time.Duration, error) {
			return s.traffic(d, "stream")
		}},
		{Name: "1-byte ping-pong", Most: 3, run: func(s *wireStage, d time.Duration) (time.Duration, error) {
			return s.traffic(d, "pingpong")
		}},
	}
}

// wireCost is what reading connections costs.
type wireCost struct {
	Loads  []*wireLoad `json:"loads"`
	Packet *packetCost `json:"packet"`
}

// measureWire measures traffic, and then the programs at sockets alone.
func measureWire(cfg config, r *harness.Receiver) (_ *wireCost, err error) {
	s, err := newWireStage(cfg)
	if err != nil {
		return nil, err
	}
	defer s.close()
	cost := &wireCost{}
	if cost.Loads, err = measureTraffic(cfg, s, r); err != nil {
		return nil, err
	}
	for _, l := range cost.Loads {
		if l.opens {
			continue // what the programs send is the agent's to work on
		}
		if err := measureSockets(cfg, s, l); err != nil {
			return nil, err
		}
	}
	if cost.Packet, err = measurePacket(cfg, s); err != nil {
		return nil, err
	}
	return cost, nil
}

// measureTraffic alternates rounds without and with each agent, in an order that changes from round to round.
func measureTraffic(cfg config, s *wireStage, r *harness.Receiver) (_ []*wireLoad, err error) {
	loads := wireLoads()
	for _, l := range loads {
		l.Overhead, l.Agent = make(map[string]series), make(map[string]series)
	}
	for round := -1; round < cfg.wireRounds; round++ { // the first one warms up
		cfg.progress("wire", round, cfg.wireRounds)
		bases := make([]time.Duration, len(loads))
		measureBase := func() error {
			for i, l := range loads {
				if bases[i], err = l.run(s, cfg.wireTime); err != nil {
					return fmt.Errorf("%s: %w", l.Name, err)
				}
			}
			return nil
		}
		if round%2 == 0 {
			if err := measureBase(); err != nil {
				return nil, err
			}
		}
		cost := make(map[string][]wireCosts)
		for _, c := range cfg.agents {
			if cost[c.name], err = wireRound(cfg, s, c, r, loads); err != nil {
				return nil, err
			}
		}
		if round%2 != 0 {
			if err := measureBase(); err != nil {
				return nil, err
			}
		}
		for i, l := range loads {
			if round < 0 {
				break
			}
			l.Base.add(float64(bases[i]))
			for name, with := range cost {
				over := l.Overhead[name]
				over.add(100 * (float64(with[i].traffic+with[i].agent)/float64(bases[i]) - 1))
				l.Overhead[name] = over
				own := l.Agent[name]
				own.add(100 * float64(with[i].agent) / float64(bases[i]))
				l.Agent[name] = own
			}
		}
	}
	return loads, nil
}

// wireCosts are CPU times of a unit.
type wireCosts struct{ traffic, agent time.Duration }

// wireRound runs all loads under an agent and returns what a unit of each took.
func wireRound(cfg config, s *wireStage, c candidate, r *harness.Receiver, loads []*wireLoad) (_ []wireCosts, err error) {
	a, err := harness.NewAgent(harness.AgentConfig{
		Path: c.path, Args: []string{"--exporter", "otlp"},
		Env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.Endpoint(), "CRAU_WIRE_ENABLED=true"},
	})
	if err != nil {
		return nil, err
	}
	running := &agent{a}
	defer func() {
		_, stopErr := a.Stop()
		err = errors.Join(err, stopErr)
	}()
	running.settle(100 * time.Millisecond)
	costs := make([]wireCosts, len(loads))
	for i, l := range loads {
		before := running.cpu()
		if costs[i].traffic, err = l.run(s, cfg.wireTime); err != nil {
			return nil, fmt.Errorf("%s: %w", l.Name, err)
		}
		running.settle(100 * time.Millisecond)
		costs[i].agent = (running.cpu() - before) / time.Duration(max(s.units, 1))
	}
	return costs, nil
}

// over returns by how many percent a load takes more CPU time with an agent.
func (l *wireLoad) over(agent string) float64 {
	if l.opens {
		return l.Overhead[agent].median()
	}
	return l.Programs.median() + l.Agent[agent].median()
}

func (w *wireCost) judge(add func(what, agent string, got, most float64), agents []candidate) {
	for _, l := range w.Loads {
		for _, c := range agents {
			add(l.Name+": CPU of both ends and the agent over that without, %", c.name, l.over(c.name), l.Most)
		}
	}
	add("a packet of a connection that is done, ns over an empty program", agents[len(agents)-1].name, w.Packet.Over.median(), 80)
}

func (w *wireCost) print(p printer, cfg config) {
	p("\nTraffic over sockets, CPU of both ends: median (quartiles)\n" +
		"load\tus a unit\tagent\tall over %%\tagent %%\tits programs %%\tempty programs %%\n")
	for _, l := range w.Loads {
		for _, c := range cfg.agents {
			p("%s\t%.2f\t%s\t%s\t%s\t%s\t%s\n", l.Name, l.Base.median()/1000, c.name, spread(l.Overhead[c.name]),
				spread(l.Agent[c.name]), spread(l.Programs), spread(l.Empty))
		}
	}
	p("a packet of a connection that is done: %.0f ns, empty program %.0f ns, over it %s ns\n", w.Packet.Wire.median(),
		w.Packet.Empty.median(), spread(w.Packet.Over))
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// flood is the result of opening many connections in a short time while an agent traces connections.
type flood struct {
	Wanted      int            `json:"wanted_per_second"` // limit of the rate; 0: as many as possible
	PerSecond   float64        `json:"per_second"`
	Made        int            `json:"made"`
	Connections harness.Totals `json:"connections"` // both sides count
	AddsUp      bool           `json:"adds_up"`
	AgentCores  float64        `json:"agent_cores"` // average during the flood
}

// measureFlood opens count connections at a rate and checks that the agent accounts for each of them.
func measureFlood(cfg config, c candidate, r *harness.Receiver, rate, count int) (_ *flood, err error) {
	f, err := harness.NewFlood(cfg.root, cfg.dir)
	if err != nil {
		return nil, err
	}
	port, err := unusedPort()
	if err != nil {
		return nil, err
	}
	server := f.Server(port, 8)
	if err := server.Start(); err != nil {
		return nil, err
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	if err := awaitPort(port); err != nil {
		return nil, err
	}
	a, err := newWireAgent(c, r)
	if err != nil {
		return nil, err
	}
	before, start := a.cpu(), time.Now()
	result := &flood{Wanted: rate, Made: count}
	out, clientErr := f.Client(port, 4, count, rate).CombinedOutput()
	result.AgentCores = float64(a.cpu()-before) / float64(time.Since(start))
	_, stopErr := a.Stop()
	if err := errors.Join(clientErr, stopErr); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	if _, err := fmt.Sscan(string(out), &result.PerSecond); err != nil {
		return nil, fmt.Errorf("read the rate from %q: %w", out, err)
	}
	result.Connections, err = harness.ParseConnections(a.Log())
	result.AddsUp = err == nil && result.Connections["seen"] >= 2*count
	if result.Connections != nil {
		err = nil // AddsUp shows it in the report
	}
	return result, err
}

func (f *flood) print(p printer) {
	wanted := "as fast as possible"
	if f.Wanted > 0 {
		wanted = fmt.Sprintf("at most %d a second", f.Wanted)
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(f.Connections)) {
		if f.Connections[reason] > 0 && reason != "seen" && !strings.HasPrefix(reason, "packets.") {
			parts = append(parts, fmt.Sprintf("%s %d", reason, f.Connections[reason]))
		}
	}
	p("%d connections, %s: %.0f a second, the agent %.2f cores; both sides: seen %d = %s; packets lost %d\n", f.Made, wanted, f.PerSecond,
		f.AgentCores, f.Connections["seen"], strings.Join(parts, " + "), f.Connections["packets.lost"])
}

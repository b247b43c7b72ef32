// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// life is one life of the agent, from its start to its end.
type life struct {
	t        *testing.T
	number   int
	agent    *harness.Agent
	config   string // path of the configuration
	receiver *harness.Receiver
	steady   *steady
	guests   *guests
	random   *rand.Rand
	reloads  int
}

// event is what can happen to an agent while it lives.
type event struct {
	name   string
	happen func(l *life)
}

var events = []event{{"reloaded", (*life).reload}, {"frozen", (*life).freeze}, {"receiver away", (*life).outage}}

// frozen is how long an agent is stopped by SIGSTOP.
const frozen = 10 * time.Second

// begin starts an agent that finds the guests and traces the steady programs.
func (c *chaos) begin(number int) *life {
	c.t.Helper()
	l := &life{
		t: c.t, number: number, config: filepath.Join(c.programs.dir, "crau.yaml"), receiver: c.receiver, steady: c.steady,
		guests: c.guests, random: c.guests.random(fmt.Sprint("life ", number)),
	}
	l.configure()
	// The wait for a receiver that is away must lose nothing of the steady programs.
	agent, err := harness.NewAgent(harness.AgentConfig{Path: c.programs.agent, Args: []string{"--config", l.config}, Env: []string{
		"CRAU_DISCOVERY_ENABLED=true", "CRAU_WIRE_ENABLED=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + c.receiver.Endpoint(),
		"OTEL_BSP_MAX_QUEUE_SIZE=100000", "CRAU_SHUTDOWN_TIMEOUT=30s", "OTEL_METRIC_EXPORT_INTERVAL=1000",
	}})
	if err != nil {
		c.t.Fatalf("life %d: %v", number, err)
	}
	l.agent = agent
	c.t.Cleanup(func() {
		agent.Kill()
		if c.t.Failed() {
			l.keepLog()
		}
	})
	c.steady.begin(number)
	return l
}

// configure writes the configuration, which differs from the last one.
func (l *life) configure() {
	text := fmt.Sprintf("libraries: [%q, %q]\ndiscovery: {allow: [%q]}\nspans: {idle_timeout: %dms}\n", l.steady.path, l.steady.sample,
		"**/crau-chaos-*/**", 500+l.random.IntN(500))
	if err := os.WriteFile(l.config, []byte(text), 0o600); err != nil {
		l.t.Error(err)
	}
}

// reload has the agent read a changed configuration.
func (l *life) reload() {
	l.configure()
	l.reloads++
	l.signal(syscall.SIGHUP)
	if err := l.agent.WaitLogs("configuration reloaded", l.reloads); err != nil {
		l.t.Errorf("life %d: %v", l.number, err)
	}
}

// freeze stops the agent for a while.
func (l *life) freeze() {
	l.signal(syscall.SIGSTOP)
	time.Sleep(frozen)
	l.signal(syscall.SIGCONT)
}

// outage has the receiver go away and come back.
func (l *life) outage() {
	l.receiver.Close()
	time.Sleep(time.Second + jitter(l.random, 4*time.Second))
	var err error
	for range 100 { // another program may have got the port
		if err = l.receiver.Listen(); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	l.t.Fatal(err)
}

func (l *life) signal(s syscall.Signal) {
	if err := l.agent.Signal(s); err != nil {
		l.t.Errorf("life %d: %v", l.number, err)
	}
}

// kill waits until what has been reported so far has arrived, and kills the agent.
func (l *life) kill() {
	if err := l.steady.arrived(l.receiver, l.steady.end()); err != nil {
		l.t.Errorf("life %d: before the agent is killed: %v", l.number, err)
	}
	l.guests.kills.Add(1)
	l.agent.Kill()
}

// stop stops the agent and checks the equation.
func (l *life) stop(s syscall.Signal) {
	l.steady.end()
	totals, err := l.agent.StopBy(s)
	if err != nil {
		l.t.Errorf("life %d: %v", l.number, err)
		return
	}
	l.checkTotals(totals)
}

// usage is what an agent uses.
type usage struct {
	descriptors int
	memory      uint64 // bytes
}

func (u usage) String() string {
	return fmt.Sprintf("%d descriptors, %d MiB", u.descriptors, u.memory>>20)
}

func (l *life) usage() (u usage) {
	var err error
	if u.descriptors, err = harness.Descriptors(l.agent.PID()); err == nil {
		u.memory, _, err = harness.Memory(l.agent.PID())
	}
	if err != nil {
		l.t.Errorf("life %d: %v", l.number, err)
	}
	return u
}

// settle waits until the agent has closed what it has open of guests that are gone, and returns what it uses then.
func (l *life) settle() usage {
	const calm = 3 * time.Second // without a change
	last, since := l.usage(), time.Now()
	for until := time.Now().Add(time.Minute); time.Since(since) < calm; time.Sleep(100 * time.Millisecond) {
		now := l.usage()
		if now.descriptors != last.descriptors {
			since = time.Now()
		}
		last = now
		if time.Now().After(until) {
			l.t.Errorf("life %d: after a minute without guests, the descriptors still change", l.number)
			break
		}
	}
	return last
}

// keepLog writes the agent's log to a file, since it is long.
func (l *life) keepLog() {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("crau-chaos-%d-life-%d.log", os.Getpid(), l.number))
	if err := os.WriteFile(path, []byte(l.agent.Log()), 0o600); err == nil {
		l.t.Logf("the log of life %d is in %s", l.number, path)
	}
}

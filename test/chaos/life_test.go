// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// life is one life of the agent: the time from its start to its end.
type life struct {
	t        *testing.T
	number   int
	agent    *harness.Agent
	config   string // path of the configuration file
	receiver *harness.Receiver
	steady   *steady
	guests   *guests
	random   *rand.Rand
	reloads  int

	pprof       string // address of the agent's pprof server
	heapProfile []byte // most recent heap profile
}

// event is something that happens once in each life of the agent.
type event struct {
	name   string
	happen func(l *life)
}

var events = []event{{"reloaded", (*life).reload}, {"frozen", (*life).freeze}, {"receiver away", (*life).outage}}

// frozen is how long freeze stops the agent by SIGSTOP.
const frozen = 10 * time.Second

// begin starts an agent that discovers the guests and traces the steady programs.
func (c *chaos) begin(number int) *life {
	c.t.Helper()
	l := &life{
		t: c.t, number: number, config: filepath.Join(c.programs.dir, "crau.yaml"), receiver: c.receiver, steady: c.steady,
		guests: c.guests, random: c.guests.random(fmt.Sprint("life ", number)), pprof: harness.UnusedAddress(c.t),
	}
	l.configure()
	// The queue is large enough for all trees of the steady programs while the receiver is unavailable.
	agent, err := harness.NewAgent(harness.AgentConfig{Path: c.programs.agent, Args: []string{"--config", l.config, "--pprof", l.pprof}, Env: []string{
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

// configure writes a configuration file with a random idle timeout, so that it differs from the previous one.
func (l *life) configure() {
	text := fmt.Sprintf("libraries: [%q, %q]\ndiscovery: {allow: [%q]}\nspans: {idle_timeout: %dms}\n", l.steady.path, l.steady.sample,
		"**/crau-chaos-*/**", 500+l.random.IntN(500))
	if err := os.WriteFile(l.config, []byte(text), 0o600); err != nil {
		l.t.Error(err)
	}
}

// reload makes the agent read a changed configuration.
func (l *life) reload() {
	l.configure()
	l.reloads++
	l.signal(syscall.SIGHUP)
	if err := l.agent.WaitLogs("configuration reloaded", l.reloads); err != nil {
		l.t.Errorf("life %d: %v", l.number, err)
	}
}

// freeze stops the agent by SIGSTOP, and continues it after a while.
func (l *life) freeze() {
	l.signal(syscall.SIGSTOP)
	time.Sleep(frozen)
	l.signal(syscall.SIGCONT)
}

// outage stops the receiver and starts it again after a while.
func (l *life) outage() {
	l.receiver.Close()
	time.Sleep(time.Second + jitter(l.random, 4*time.Second))
	var err error
	for range 100 { // another program may use the port meanwhile
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

// arrive waits until everything that the steady programs have reported so far has arrived. If it does not arrive in
// time, arrive stops the agent, so that its totals show what happened, and returns false.
func (l *life) arrive() bool {
	err := l.steady.arrived(l.receiver, l.steady.end())
	if err != nil {
		l.t.Errorf("life %d: before the agent is killed: %v", l.number, err)
		l.stop(syscall.SIGTERM)
	}
	return err == nil
}

// kill waits until everything reported so far has arrived, and kills the agent with SIGKILL.
func (l *life) kill() {
	if !l.arrive() {
		return
	}
	l.guests.kills.Add(1)
	l.agent.Kill()
}

// killFrozen stops the agent by SIGSTOP, and kills it after a while. In between, programs that want to overwrite
// attached files have to wait.
func (l *life) killFrozen() {
	if !l.arrive() {
		return
	}
	l.signal(syscall.SIGSTOP)
	time.Sleep(jitter(l.random, 2*time.Second))
	l.guests.kills.Add(1)
	l.agent.Kill()
}

// stop stops the agent with a signal and checks its totals.
func (l *life) stop(s syscall.Signal) {
	l.steady.end()
	totals, err := l.agent.StopBy(s)
	if err != nil {
		l.t.Errorf("life %d: %v", l.number, err)
		return
	}
	l.checkTotals(totals)
}

// usage is what an agent uses of some resources.
type usage struct {
	descriptors int
	heap        uint64 // bytes of live objects on the Go heap
	resident    uint64 // bytes of resident memory
}

func (u usage) String() string {
	return fmt.Sprintf("%d descriptors, a heap of %d MiB, %d MiB resident", u.descriptors, u.heap>>20, u.resident>>20)
}

// Limits of how much more an agent may use after the guests have ended than it did when they had ended before.
const (
	moreDescriptors = 0
	moreHeap        = 8 << 20 // bytes; room for what the agent caches about guests' reports
)

// exceeds reports whether u exceeds an earlier usage by more than the limits.
func (u usage) exceeds(before usage) bool {
	return u.descriptors > before.descriptors+moreDescriptors || u.heap > before.heap+moreHeap
}

// heapOf matches the line of a textual heap profile that has the field HeapAlloc of runtime.MemStats.
var heapOf = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`)

func (l *life) usage() (u usage) {
	var err error
	if u.descriptors, err = harness.Descriptors(l.agent.PID()); err == nil {
		u.resident, _, err = harness.Memory(l.agent.PID())
	}
	if err != nil {
		l.t.Errorf("life %d: %v", l.number, err)
	}
	return u
}

// heap returns the size of the agent's heap after a garbage collection. This says more than the resident size, because
// the runtime returns memory to the system only minutes later.
func (l *life) heap() (bytes uint64) {
	profile, err := l.profile()
	if err == nil {
		l.heapProfile = profile
		if found := heapOf.FindSubmatch(profile); found != nil {
			bytes, err = strconv.ParseUint(string(found[1]), 10, 64)
		} else {
			err = fmt.Errorf("no size in the heap profile: %.200q", profile)
		}
	}
	if err != nil {
		l.t.Errorf("life %d: %v", l.number, err)
	}
	return bytes
}

func (l *life) profile() ([]byte, error) {
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	got, err := client.Get("http://" + l.pprof + "/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		return nil, err
	}
	defer got.Body.Close()
	return io.ReadAll(got.Body)
}

// open returns how many descriptors the agent has open by their target in /proc/PID/fd.
func (l *life) open() map[string]int {
	of := make(map[string]int)
	folder := fmt.Sprintf("/proc/%d/fd", l.agent.PID())
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(folder, e.Name())); err == nil {
			of[target]++
		}
	}
	if err != nil {
		l.t.Error(err)
	}
	return of
}

// settle waits until the number of the agent's descriptors is stable, and returns the agent's usage. If before is not
// nil, settle waits up to two minutes until the usage does not exceed it. The wait is that long because the guests may
// have used up their owner's share of discovery; the agent then continues to examine their files a minute later.
func (l *life) settle(before *usage) usage {
	const calm = 3 * time.Second // time without a change of the number
	last, since := l.usage(), time.Now()
	for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		now := l.usage()
		if now.descriptors != last.descriptors {
			since = time.Now()
		}
		last = now
		if time.Since(since) < calm {
			continue
		}
		if last.heap = l.heap(); before == nil || !last.exceeds(*before) {
			return last
		}
		since = time.Now()
	}
	last.heap = l.heap()
	return last
}

// keepLog writes the agent's log and last heap profile to files, because they are too long for the test's output.
func (l *life) keepLog() {
	base := filepath.Join(os.TempDir(), fmt.Sprintf("crau-chaos-%d-life-%d", os.Getpid(), l.number))
	err := os.WriteFile(base+".log", []byte(l.agent.Log()), 0o600)
	err = errors.Join(err, os.WriteFile(base+".heap", l.heapProfile, 0o600))
	l.t.Logf("the log and heap profile of life %d are in %s.log and .heap, error %v", l.number, base, err)
}

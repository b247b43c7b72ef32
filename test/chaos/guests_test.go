// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// kind is a kind of guest.
type kind struct {
	name string
	// visit runs one guest from start to end. It takes at most a few seconds unless something hangs, and returns an
	// error if a program does not end as it should.
	visit func(v *visit) error
	pause time.Duration // median time between two visits
	// overwrites is set if the guest overwrites files in place. When an agent is killed, its leases on files end before
	// its breakpoints are removed (docs/decisions/leases.md), so overwriting at that moment may harm the guest's
	// programs.
	overwrites bool
}

// visit is the environment of one guest while it runs.
type visit struct {
	*programs
	dir    string // separate folder, empty at first, removed at the end
	random *rand.Rand
}

// deadline is how long one program of a guest may run. It is long, because a program that overwrites a file while the
// agent is frozen waits until the agent continues.
const deadline = 2 * time.Minute

// run runs a program to its end and returns its output. Any exit code other than 0 is an error.
func (v *visit) run(path string, args ...string) (string, error) {
	return v.finish(exec.Command(path, args...))
}

// ending is a way to end that a program of a guest is allowed in addition to exit code 0.
type ending struct {
	after time.Duration  // time after which the program and its children are killed
	by    syscall.Signal // a signal that may end the program before; 0: none
}

// finish runs a command to its end, in a separate process group, and returns its output. It returns an error unless the
// command ends with exit code 0 or in one of the other ways.
func (v *visit) finish(cmd *exec.Cmd, other ...ending) (string, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return "", err
	}
	kill := func(after time.Duration) (stop func() bool) {
		return time.AfterFunc(after, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }).Stop
	}
	stop := kill(deadline)
	stops := []func() bool{}
	for _, o := range other {
		stops = append(stops, kill(o.after))
	}
	err := cmd.Wait()
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !stop() {
		return out.String(), fmt.Errorf("%s %q still ran after %v\n%s", filepath.Base(cmd.Path), cmd.Args[1:], deadline, &out)
	}
	for i, o := range other {
		killed := !stops[i]()
		if err != nil && status.Signaled() && (killed && status.Signal() == syscall.SIGKILL || o.by != 0 && status.Signal() == o.by) {
			err = nil
		}
	}
	if err != nil {
		err = fmt.Errorf("%s %q: %w\n%s", filepath.Base(cmd.Path), cmd.Args[1:], err, &out)
	}
	return out.String(), err
}

// guests runs the guests, each kind in its own goroutine.
type guests struct {
	t        *testing.T
	programs *programs
	seed     uint64

	gate    sync.RWMutex // held for reading while a guest runs
	visits  map[string]*atomic.Int64
	kills   atomic.Int64 // number of times that the agent was killed
	harmed  atomic.Int64 // number of guests that overwrote files while the agent was killed, and failed
	failed  atomic.Int64
	stopped context.CancelFunc
	all     sync.WaitGroup
}

func newGuests(t *testing.T, p *programs, seed uint64) *guests {
	g := &guests{t: t, programs: p, seed: seed, visits: make(map[string]*atomic.Int64)}
	for _, k := range kinds {
		g.visits[k.name] = new(atomic.Int64)
	}
	return g
}

// rehearse runs guests of each kind without an agent. A kind that fails even then fails the test.
func (g *guests) rehearse(times int) {
	var all sync.WaitGroup
	for _, k := range kinds {
		all.Go(func() {
			random := g.random("rehearsal of " + k.name)
			for range times {
				if err := g.play(k, random); err != nil {
					g.t.Errorf("%s, without an agent: %v", k.name, err)
				}
			}
		})
	}
	all.Wait()
	if g.t.Failed() {
		g.t.FailNow()
	}
}

// open starts running guests, until close is called.
func (g *guests) open() {
	ctx, cancel := context.WithCancel(context.Background())
	g.stopped = cancel
	for _, k := range kinds {
		g.all.Go(func() {
			random := g.random(k.name)
			for sleep(ctx, jitter(random, k.pause)) {
				g.gate.RLock()
				kills := g.kills.Load()
				err := g.play(k, random)
				killed := g.kills.Load() != kills
				g.gate.RUnlock()
				g.visits[k.name].Add(1)
				switch {
				case err == nil:
				case k.overwrites && killed:
					g.harmed.Add(1)
					g.t.Logf("%s, while the agent was killed: %v", k.name, err)
				case g.failed.Add(1) <= 10:
					g.t.Errorf("%s: %v", k.name, err)
				}
			}
		})
	}
}

// close stops starting guests and waits until the running ones have ended.
func (g *guests) close() {
	g.stopped()
	g.all.Wait()
}

// quiet waits until no guest is running and calls f. No guest starts while f runs.
func (g *guests) quiet(f func()) {
	g.gate.Lock()
	defer g.gate.Unlock()
	f()
}

func (g *guests) play(k kind, random *rand.Rand) error {
	dir, remove, err := g.programs.folder(k.name)
	if err != nil {
		return err
	}
	defer remove()
	return k.visit(&visit{g.programs, dir, random})
}

// random returns a source of random numbers that depends on the seed and on the name.
func (g *guests) random(name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return rand.New(rand.NewPCG(g.seed, h.Sum64()))
}

// jitter returns a random duration between 0.5 d and 1.5 d.
func jitter(random *rand.Rand, d time.Duration) time.Duration {
	return d/2 + time.Duration(random.Int64N(int64(d)))
}

// sleep waits for a duration or until ctx ends, and reports whether ctx is still valid.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return ctx.Err() == nil
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// starts are the results of the part exec: the time from the execution of a program with new files until its probes are
// attached. The program measures that time with the probe's semaphore, see testdata/start.c.
type starts struct {
	Kind   string `json:"kind"`
	Loaded bool   `json:"loaded"` // two spinning programs per processor ran at the same time
	Agent  string `json:"agent"`
	Took   series `json:"ms"`
	P95    float64
	Missed int `json:"missed"` // number of programs whose probe was not attached within five seconds
}

// Kinds of programs.
const (
	staticProgram  = "static"
	dynamicProgram = "dynamic"   // only the program's library has probes
	containerised  = "container" // a dynamic program with a separate root folder, mount namespace and cgroup
)

// Upper bounds of the medians in ms, on an idle machine and on a loaded one.
const (
	mostIdle, mostLoaded = 5, 20
)

// between is the pause between two programs, so that attaching one does not delay the next.
const between = 50 * time.Millisecond

func measureStarts(cfg config) (all []*starts, err error) {
	stage, err := newStartStage(cfg)
	if err != nil {
		return nil, err
	}
	defer stage.close()
	for _, c := range cfg.agents {
		agent, err := harness.NewAgent(harness.AgentConfig{
			Path: c.path, Args: []string{"--exporter", "none"}, Env: []string{"CRAU_DISCOVERY_ENABLED=true"},
		})
		if err != nil {
			return nil, err
		}
		for _, loaded := range []bool{false, true} {
			figures, err := stage.measure(cfg, c.name, loaded)
			if err != nil {
				agent.Kill()
				return nil, err
			}
			all = append(all, figures...)
		}
		if _, err := agent.Stop(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// startStage holds the programs to start and what they need.
type startStage struct {
	dir    string // folder that contains start, start-static and libstart.so
	root   string // folder at which a container's root folder is mounted
	cgroup string // folder of the container's cgroup
	files  []string
	count  int // number of programs started so far, for names of copies
}

func newStartStage(cfg config) (*startStage, error) {
	s := &startStage{dir: filepath.Join(cfg.dir, "start"), root: filepath.Join(cfg.dir, "root")}
	for _, dir := range []string{s.dir, s.root} {
		if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // anyone may run programs in it
			return nil, err
		}
	}
	source := filepath.Join(cfg.root, "test/bench/testdata/start.c")
	library := filepath.Join(s.dir, "libstart.so")
	for _, args := range [][]string{
		{filepath.Join(s.dir, "start-static"), "-static", source},
		{library, "-DLIBRARY", "-shared", "-fPIC", source},
		{filepath.Join(s.dir, "start"), "-DSHARED", source, "-L", s.dir, "-lstart", "-Wl,-rpath,$ORIGIN"},
	} {
		if err := harness.CompileC(cfg.root, args[0], args[1:]...); err != nil {
			return nil, err
		}
	}
	var err error
	if s.files, err = loaded(filepath.Join(s.dir, "start")); err != nil {
		return nil, err
	}
	s.cgroup, err = makeContainer()
	return s, err
}

// loaded returns the files of the system that a dynamic program maps, according to ldd.
func loaded(program string) (files []string, err error) {
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		return nil, fmt.Errorf("ldd %s: %w", program, err)
	}
	for field := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(field, "/") && filepath.Base(field) != "libstart.so" {
			files = append(files, field)
		}
	}
	return files, nil
}

// makeContainer makes a cgroup whose name looks like that of a container and returns its folder.
func makeContainer() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	for mount := range strings.Lines(string(mounts)) {
		before, kind, _ := strings.Cut(mount, " - ")
		if strings.HasPrefix(kind, "cgroup2 ") {
			folder := filepath.Join(strings.Fields(before)[4], "docker", strings.Repeat("0123456789abcdef", 4))
			return folder, os.MkdirAll(folder, 0o755) //nolint:gosec // mode that container engines use
		}
	}
	return "", errors.New("no cgroups of version 2")
}

func (s *startStage) close() {
	_ = os.Remove(s.cgroup)
	_ = os.Remove(filepath.Dir(s.cgroup))
}

// measure starts programs of all kinds in turn. Each program is a new copy.
func (s *startStage) measure(cfg config, agent string, loaded bool) (all []*starts, err error) {
	for _, kind := range []string{staticProgram, dynamicProgram, containerised} {
		all = append(all, &starts{Kind: kind, Loaded: loaded, Agent: agent})
	}
	if loaded {
		for range 2 * runtime.NumCPU() {
			spin := exec.Command(filepath.Join(s.dir, "start-static"), "spin")
			if err := spin.Start(); err != nil {
				return nil, err
			}
			defer func() {
				_ = spin.Process.Kill()
				_ = spin.Wait()
			}()
		}
	}
	time.Sleep(time.Second)
	for round := range cfg.startRounds {
		cfg.progress("programs that start", round, cfg.startRounds)
		for _, figures := range all {
			time.Sleep(between)
			took, err := s.start(figures.Kind)
			switch {
			case err != nil:
				return nil, err
			case took < 0:
				figures.Missed++
			default:
				figures.Took.add(took.Seconds() * 1000)
			}
		}
	}
	for _, figures := range all {
		figures.P95 = figures.Took.at(0.95)
	}
	return all, nil
}

// start starts a new copy of a kind of program and returns how long it took to attach its probe, or a negative time if
// the probe was not attached.
func (s *startStage) start(kind string) (time.Duration, error) {
	s.count++
	dir := filepath.Join(s.dir, strconv.Itoa(s.count))
	defer os.RemoveAll(dir)
	copies := map[string]string{"start": "start", "libstart.so": "libstart.so"}
	switch kind {
	case staticProgram:
		copies = map[string]string{"start-static": "start"}
	case containerised:
		copies["libstart.so"] = "lib/libstart.so" // default path, because $ORIGIN needs /proc
	}
	for from, to := range copies {
		if err := harness.CopyFile(filepath.Join(s.dir, from), filepath.Join(dir, to)); err != nil {
			return 0, err
		}
	}
	cgroup, source, program := "-", "-", filepath.Join(dir, "start")
	if kind == containerised {
		for _, file := range s.files {
			if err := harness.CopyFile(file, filepath.Join(dir, file)); err != nil {
				return 0, err
			}
		}
		cgroup, source, program = filepath.Join(s.cgroup, "cgroup.procs"), dir, "/start"
	}
	time.Sleep(between) // until the agent has noticed the copies and decided not to read them yet
	launcher := filepath.Join(s.dir, "start-static")
	out, err := exec.Command(launcher, "launch", cgroup, source, s.root, program).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return 0, fmt.Errorf("start a %s program: %w", kind, err)
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return time.Duration(ns), err
}

func printStarts(p printer, all []*starts) {
	p("\nFrom the execution of a program until its probe is attached, ms\nprogram\tmachine\tagent\tmedian\tquartiles\t95 of 100\tmissed\n")
	for _, s := range all {
		p("%s\t%s\t%s\t%.1f\t%.1f-%.1f\t%.1f\t%d of %d\n", s.Kind, s.machine(), s.Agent, s.Took.median(), s.Took.at(0.25), s.Took.at(0.75),
			s.P95, s.Missed, s.Missed+len(s.Took))
	}
}

func (s *starts) machine() string {
	if s.Loaded {
		return "loaded"
	}
	return "idle"
}

func judgeStarts(add func(what, agent string, got, most float64), all []*starts) {
	for _, s := range all {
		most := float64(mostIdle)
		if s.Loaded {
			most = mostLoaded
		}
		add(fmt.Sprintf("%s program, machine %s: from exec to attached probe, ms", s.Kind, s.machine()), s.Agent, s.Took.median(), most)
	}
}

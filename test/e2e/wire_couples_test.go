// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// stage holds files that stock programs need: a certificate and its key, in a folder that all users may read.
type stage struct {
	t                      *testing.T
	dir, cert, key, pkcs12 string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	dir, err := os.MkdirTemp("", "crau-otel-wire")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &stage{
		t: t, dir: dir, cert: filepath.Join(dir, "cert"), key: filepath.Join(dir, "key"), pkcs12: filepath.Join(dir, "pkcs12"),
	}
	cert, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	if err := writePEM(cert, s.cert, s.key); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.run(find(t, "openssl"), "pkcs12", "-export", "-in", s.cert, "-inkey", s.key, "-out", s.pkcs12, "-name", "peer", "-passout",
		"pass:secret")
	return s
}

// run runs a command to its end and returns its output. The test fails if the command fails.
func (s *stage) run(name string, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// write writes a file into the stage's folder and returns its path.
func (s *stage) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// couple is a server, a client, and the handshake that they make with each other.
type couple struct {
	name   string
	server func(s *stage, port string) *exec.Cmd
	client func(s *stage, port string) *exec.Cmd
	// before, if set, is a command that runs to its end before the agent starts.
	before func(s *stage, port string) *exec.Cmd
	// handshake is the result of describeHandshake on both sides, without the role.
	handshake string
	// times is the number of handshakes that the client makes; 0 means 1.
	times int
	// prints is set if the client prints the id of the server process that answered, because that is not the process
	// that listens.
	prints bool
}

// perform starts all couples, traces their connections and checks the handshakes that the agent reports.
func (s *stage) perform(couples []couple) {
	s.t.Helper()
	ports, names, want := make([]string, len(couples)), make(map[int]string), make(shakes)
	for i, c := range couples {
		ports[i] = freePort(s.t)
		names[serve(s.t, c.server(s, ports[i]), ports[i])] = "server of " + c.name
	}
	for i, c := range couples {
		if c.before != nil {
			s.finish(c.before(s, ports[i]))
		}
	}
	a := startWire(s.t)
	var mu sync.Mutex
	var wg sync.WaitGroup
	free := make(chan struct{}, 3)
	for i, c := range couples {
		cmd := c.client(s, ports[i])
		wg.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			out := s.finish(cmd)
			mu.Lock()
			defer mu.Unlock()
			names[cmd.Process.Pid] = "client of " + c.name
			if c.prints {
				first, _, _ := strings.Cut(strings.TrimSpace(out), "\n")
				pid, err := strconv.Atoi(first)
				if err != nil {
					s.t.Errorf("%v printed %q, want the id of the server's process", cmd.Args, out)
				}
				names[pid] = "server of " + c.name
			}
			for _, side := range []string{"client", "server"} {
				want[side+" of "+c.name+": "+side+" "+c.handshake] += max(1, c.times)
			}
		})
	}
	wg.Wait()
	a.Stop()
	handshakesOf(s.t, a, names).check(s.t, want)
}

// finish runs a command to its end and returns its standard output.
func (s *stage) finish(cmd *exec.Cmd) string {
	s.t.Helper()
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Errorf("%v: %v\n%s%s", cmd.Args, err, out, stderr.String())
	}
	return string(out)
}

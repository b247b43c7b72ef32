// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/test/harness"
)

// placement is the processors on which the two ends of a connection run. If the scheduler chose the processors, a unit
// could cost twice as much in one round as in another.
type placement struct {
	name        string
	cpu, server int
}

var (
	onOne  = placement{"one processor", 0, 0}
	onEach = placement{"a processor each", 0, 1}
)

// wireStage holds the programs between which traffic is made.
type wireStage struct {
	sockets     string // path of the program compiled from testdata/sockets.c
	nginx       *exec.Cmd
	http, https string // ports of nginx
	running     map[string]*trafficProgram
}

// trafficProgram is a process of testdata/sockets.c. It keeps its connections open between rounds.
type trafficProgram struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.Reader
}

func newWireStage(cfg config) (_ *wireStage, err error) {
	for _, program := range []string{"nginx", "openssl", "findmnt", "taskset"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, missingError("no program " + program)
		}
	}
	if runtime.NumCPU() < 2 {
		return nil, missingError("one processor alone")
	}
	s := &wireStage{sockets: filepath.Join(cfg.dir, "sockets"), running: make(map[string]*trafficProgram)}
	if err := harness.CompileC(cfg.root, s.sockets, "-D_GNU_SOURCE", filepath.Join(cfg.root, "test/bench/testdata/sockets.c"), "-pthread"); err != nil {
		return nil, err
	}
	cert, key := filepath.Join(cfg.dir, "cert"), filepath.Join(cfg.dir, "key")
	if out, err := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-keyout", key, "-out", cert, "-subj", "/CN=localhost").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("openssl: %w\n%s", err, out)
	}
	for _, port := range []*string{&s.http, &s.https} {
		if *port, err = unusedPort(); err != nil {
			return nil, err
		}
	}
	config := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/nginx.pid; error_log stderr;
events {}
http {
	access_log off; keepalive_requests 100000000; ssl_session_cache off; ssl_session_tickets off;
	ssl_certificate %[2]s; ssl_certificate_key %[3]s;
	server { listen 127.0.0.1:%[4]s; listen 127.0.0.1:%[5]s ssl; location / { return 200 "%[6]s"; } }
}
`, cfg.dir, cert, key, s.http, s.https, strings.Repeat("x", 1024))
	file := filepath.Join(cfg.dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	s.nginx = exec.Command("nginx", "-c", file, "-p", cfg.dir)
	if err := s.nginx.Start(); err != nil {
		return nil, err
	}
	if err := awaitPort(s.http); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *wireStage) close() {
	for _, p := range s.running {
		_ = p.in.Close()
		_ = p.cmd.Wait()
	}
	_ = s.nginx.Process.Signal(syscall.SIGTERM)
	_ = s.nginx.Wait()
}

// spent returns the CPU time that nginx uses while f runs.
func (s *wireStage) spent(f func() error) (time.Duration, error) {
	before, err := harness.CPUTime(s.nginx.Process.Pid)
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := harness.CPUTime(s.nginx.Process.Pid)
	return after - before, err
}

// amount is an amount of traffic and the CPU time that both ends used for it.
type amount struct {
	units float64
	cpu   time.Duration
}

// perUnit returns the CPU time per unit in ns.
func (a amount) perUnit() float64 { return float64(a.cpu) / a.units }

// place moves nginx to the processor of the server.
func (s *wireStage) place(where placement) error {
	var set unix.CPUSet
	set.Set(where.server)
	if err := unix.SchedSetaffinity(s.nginx.Process.Pid, &set); err != nil {
		return fmt.Errorf("move nginx to a processor: %w", err)
	}
	return nil
}

// traffic makes traffic with testdata/sockets.c for a duration. It starts the program when the program is first needed.
func (s *wireStage) traffic(where placement, d time.Duration, args ...string) (amount, error) {
	args = append([]string{strconv.Itoa(where.cpu), strconv.Itoa(where.server)}, args...)
	name := strings.Join(args, " ")
	p := s.running[name]
	if p == nil {
		p = &trafficProgram{cmd: exec.Command(s.sockets, args...)}
		p.cmd.Stderr = os.Stderr
		var err error
		if p.in, err = p.cmd.StdinPipe(); err != nil {
			return amount{}, err
		}
		if p.out, err = p.cmd.StdoutPipe(); err != nil {
			return amount{}, err
		}
		if err := p.cmd.Start(); err != nil {
			return amount{}, err
		}
		s.running[name] = p
	}
	var units, own float64
	served, err := s.spent(func() error {
		if _, err := fmt.Fprintln(p.in, d.Milliseconds()); err != nil {
			return fmt.Errorf("sockets %s: %w", name, err)
		}
		if _, err := fmt.Fscan(p.out, &units, &own); err != nil {
			return fmt.Errorf("sockets %s: %w", name, err)
		}
		return nil
	})
	if err == nil && units == 0 {
		err = fmt.Errorf("sockets %s: no traffic in %s", name, d)
	}
	return amount{units, served + time.Duration(own)}, err
}

var timedConnections = regexp.MustCompile(`(?m)^(\d+) connections in \d+ real seconds`)

// handshakes makes TLS connections one after the other with `openssl s_time`.
func (s *wireStage) handshakes(where placement, d time.Duration) (amount, error) {
	seconds := max(1, int(d.Round(time.Second).Seconds()))
	cmd := exec.Command("taskset", "-c", strconv.Itoa(where.cpu), "openssl", "s_time", "-connect", "127.0.0.1:"+s.https, "-new", "-time", strconv.Itoa(seconds))
	var out []byte
	served, err := s.spent(func() (err error) {
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		return amount{}, fmt.Errorf("openssl s_time: %w\n%s", err, out)
	}
	m := timedConnections.FindSubmatch(out)
	if m == nil {
		return amount{}, errors.New("openssl s_time: no connections: " + string(out))
	}
	units, err := strconv.Atoi(string(m[1]))
	if err != nil || units == 0 {
		return amount{}, fmt.Errorf("openssl s_time: %s connections", m[1])
	}
	return amount{float64(units), served + cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
}

// unusedPort returns a TCP port that is not in use.
func unusedPort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// awaitPort waits until connections to a port are accepted.
func awaitPort(port string) error {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("wait for a server: %w", err)
		}
	}
}

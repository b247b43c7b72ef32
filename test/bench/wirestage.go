// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// wireStage has the programs that make traffic.
type wireStage struct {
	sockets     string // testdata/sockets.c
	nginx       *exec.Cmd
	http, https string // ports of nginx
	units       int    // of the last load
}

func newWireStage(cfg config) (_ *wireStage, err error) {
	for _, program := range []string{"nginx", "openssl", "findmnt"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, missingError("no program " + program)
		}
	}
	s := &wireStage{sockets: filepath.Join(cfg.dir, "sockets")}
	if err := harness.CompileC(cfg.root, s.sockets, "-D_GNU_SOURCE", filepath.Join(cfg.root, "test/bench/testdata/sockets.c"), "-pthread"); err != nil {
		return nil, err
	}
	cert, key := filepath.Join(cfg.dir, "cert"), filepath.Join(cfg.dir, "key")
	if out, err := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-keyout", key, "-out", cert, "-subj", "/CN=localhost").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("openssl: %w\n%s", err, out)
	}
	ports := make([]string, 2)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		ports[i] = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	s.http, s.https = ports[0], ports[1]
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
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", "127.0.0.1:"+s.http)
		if err == nil {
			return s, c.Close()
		}
		if time.Now().After(deadline) {
			s.close()
			return nil, fmt.Errorf("start nginx: %w", err)
		}
	}
}

func (s *wireStage) close() {
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

// traffic runs the program sockets and returns the CPU time of a unit at both ends.
func (s *wireStage) traffic(d time.Duration, args ...string) (time.Duration, error) {
	var units, own float64
	served, err := s.spent(func() error {
		out, err := exec.Command(s.sockets, append([]string{fmt.Sprint(d.Seconds())}, args...)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("sockets: %w\n%s", err, out)
		}
		_, err = fmt.Fscan(bytes.NewReader(out), &units, &own)
		return err
	})
	if err != nil {
		return 0, err
	}
	s.units = int(units)
	return (served + time.Duration(own)) / time.Duration(max(s.units, 1)), nil
}

var timedConnections = regexp.MustCompile(`(?m)^(\d+) connections in \d+ real seconds`)

// handshakes has openssl make a TLS connection after the other, and returns the CPU time of one at both ends.
func (s *wireStage) handshakes(d time.Duration) (time.Duration, error) {
	seconds := max(1, int(d.Round(time.Second).Seconds()))
	cmd := exec.Command("openssl", "s_time", "-connect", "127.0.0.1:"+s.https, "-new", "-time", strconv.Itoa(seconds))
	var out []byte
	served, err := s.spent(func() (err error) {
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("openssl s_time: %w\n%s", err, out)
	}
	m := timedConnections.FindSubmatch(out)
	if m == nil {
		return 0, errors.New("openssl s_time: no connections: " + string(out))
	}
	if s.units, err = strconv.Atoi(string(m[1])); err != nil || s.units == 0 {
		return 0, fmt.Errorf("openssl s_time: %s connections", m[1])
	}
	own := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return (served + own) / time.Duration(s.units), nil
}

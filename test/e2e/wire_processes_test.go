// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// If a server has several processes, each handshake is reported with the process that made it. The test knows that
// process because the server sends its process id to the client.
func TestWireNamesTheProcessThatMadeTheHandshake(t *testing.T) {
	harness.RequireBPF(t)
	s := newStage(t)
	const handshake = " x25519 [x25519] classical"
	type load struct {
		server, port, suite    string
		count, perSec, threads int
	}
	loads := []load{
		{server: "threads of 8 processes", suite: "TLS_AES_256_GCM_SHA384", count: 1000, perSec: 200, threads: 8},
		{server: "a child of each connection", suite: "TLS_AES_256_GCM_SHA384", count: 100, perSec: 50, threads: 4},
		{server: "nginx", suite: "TLS_AES_128_GCM_SHA256", count: 300, perSec: 200, threads: 8},
	}
	python := find(t, "python3")
	for i := range loads {
		l := &loads[i]
		l.port = freePort(t)
		switch i {
		case 0:
			serve(t, exec.Command(python, "testdata/workers.py", "threads", l.port, s.cert, s.key, "8"), l.port)
		case 1:
			serve(t, exec.Command(python, "testdata/workers.py", "forks", l.port, s.cert, s.key, "1"), l.port)
		default:
			serve(t, nginx(s, l.port), l.port)
		}
	}
	a := startWire(t)
	names, want := make(map[int]string), make(shakes)
	for _, l := range loads {
		client := peer("load", l.port, strconv.Itoa(l.count), strconv.Itoa(l.perSec), strconv.Itoa(l.threads))
		out, err := client.Output()
		if err != nil {
			t.Fatalf("%v: %v", client.Args, err)
		}
		names[client.Process.Pid] = "client of " + l.server
		want["client of "+l.server+": client 1.3 "+l.suite+handshake] = l.count
		for line := range strings.Lines(string(out)) {
			pid, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				t.Fatal(err)
			}
			names[pid] = l.server + " " + strconv.Itoa(pid)
			want[names[pid]+": server 1.3 "+l.suite+handshake]++
		}
	}
	a.Stop()
	handshakesOf(t, a, names).check(t, want)
}

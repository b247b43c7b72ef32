// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/test/harness"
)

// Every connection is reported correctly or counted, at 5,000 connections per second and at the highest rate of this
// machine.
func TestWireAccountsForEveryConnection(t *testing.T) {
	harness.RequireBPF(t)
	f, err := harness.NewFlood(root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, rate := range map[string]int{"at most 5,000 a second": 5000, "as fast as possible": 0} {
		t.Run(name, func(t *testing.T) { accountForFlood(t, f, rate) })
	}
}

func accountForFlood(t *testing.T, f *harness.Flood, rate int) {
	port := freePort(t)
	server := serve(t, f.Server(port, 8), port)
	a := startWire(t)
	const count = 10000
	client := f.Client(port, 4, count, rate)
	out, err := client.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a.Stop()
	n := connections(t, a)
	t.Logf("%s connections a second: %v", strings.TrimSpace(string(out)), n)
	const handshake = " 1.3 TLS_AES_128_GCM_SHA256 x25519 [x25519] classical"
	got := handshakesOf(t, a, map[int]string{client.Process.Pid: "client", server: "server"})
	lost := n["ring_full"] + n["rate_limited"] + n["evicted"] + n["packets.lost"]
	reported, partial := 0, 0
	for line, times := range got {
		switch line, _ = strings.CutSuffix(line, " end=process_exit"); line {
		case "client: client" + handshake, "server: server" + handshake:
			reported += times
		case "client: client", "server: server", "client: client [x25519]", "server: server [x25519]":
			partial += times // some of its packets did not fit into the ring buffer
		default:
			t.Errorf("a wrong verdict, %d times: %s", times, line)
		}
	}
	if partial > n["packets.lost"] {
		t.Errorf("%d handshakes are reported in part, of connections with %d lost packets", partial, n["packets.lost"])
	}
	if expected := 2 * count * harness.FloodHandshakes / 10; reported > expected || reported+lost < expected {
		t.Errorf("%d handshakes are reported, and %d connections lost, of %d", reported, lost, expected)
	}
	// The counters also include connections of other programs on this host.
	for reason, least := range map[string]int{
		"seen": 2 * count, "other": 2 * count / 10, "malformed": 2*count/10 - lost, "too_long": 2*count/10 - lost,
	} {
		if n[reason] < least {
			t.Errorf("%s %d, want %d at least: %v", reason, n[reason], least, n)
		}
	}
	const others = 500
	if n["seen"] > 2*count+others || n["malformed"]+n["too_long"] > 4*count/10+others {
		t.Errorf("there are more connections than were made: %v", n)
	}
}

// halfOpen opens connections, sends a ClientHello on each, and keeps them open until its standard input ends.
func halfOpen(args []string) error {
	count, _ := strconv.Atoi(args[1])
	if err := raiseFiles(); err != nil {
		return err
	}
	for range count {
		c, err := net.Dial("tcp", "127.0.0.1:"+args[0])
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.Write(harness.RecordedHello()); err != nil {
			return err
		}
	}
	fmt.Println("open")
	var end [1]byte
	_, _ = unix.Read(0, end[:])
	return nil
}

// serveSilence accepts connections and never sends anything.
func serveSilence(args []string) error {
	if err := raiseFiles(); err != nil {
		return err
	}
	l, err := listen(args[0])
	if err != nil {
		return err
	}
	for held := make(map[net.Conn]bool); ; {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		held[c] = true // keeps the garbage collector from closing it
	}
}

func raiseFiles() error {
	const files = 20000
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: files, Max: files})
}

// If a user opens thousands of connections that are never answered, no handshake of other users is lost. Each of the
// connections is counted as open.
func TestWireHalfOpenConnections(t *testing.T) {
	harness.RequireBPF(t)
	silent, port := freePort(t), freePort(t)
	const count = 10000
	nobody := func(cmd *exec.Cmd) *exec.Cmd {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		return cmd
	}
	names := map[int]string{serve(t, peer("silence", silent), silent): "silence", serve(t, peer("https", port), port): "server"}
	a := startWire(t)
	self := harness.Copy(t, "/proc/self/exe", "/tmp/crau-otel-half-open")
	t.Cleanup(func() { _ = exec.Command("rm", self).Run() })
	attack := nobody(exec.Command(self, silent, strconv.Itoa(count)))
	attack.Env = []string{peerVariable + "=half-open"}
	hold, err := attack.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := attack.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	harness.StartProgram(t, attack)
	names[attack.Process.Pid] = "attacker"
	victim := peer("load", port, "100", "50", "2")
	if printed, err := victim.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, printed)
	}
	names[victim.Process.Pid] = "victim"
	if line := make([]byte, 5); func() bool { _, err := io.ReadFull(out, line); return err != nil }() {
		t.Errorf("the connections are not open: %q", line)
	}
	_, peak, err := harness.Memory(a.PID())
	if err != nil {
		t.Fatal(err)
	}
	a.Stop()
	_ = hold.Close()
	n := connections(t, a)
	got := handshakesOf(t, a, names)
	t.Logf("%v, %d MiB at most", n, peak>>20)
	const open, handshake = "attacker: client [x25519]", " 1.3 TLS_AES_128_GCM_SHA256 x25519 [x25519] classical"
	lost := n["ring_full"] + n["rate_limited"] + n["evicted"]
	if got[open]+lost < count || got[open] > count {
		t.Errorf("%d of %d half-open connections, %d lost", got[open], count, lost)
	}
	delete(got, open)
	got.check(t, shakes{"victim: client" + handshake: 100, "server: server" + handshake: 100})
	if peak > 150<<20 {
		t.Errorf("the agent took %d MiB", peak>>20)
	}
}

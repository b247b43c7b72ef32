// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/test/harness"
)

// recordedHello is a ClientHello of TLS 1.3 that offers X25519, in a record.
var recordedHello = sync.OnceValue(func() []byte {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go func() {
		_ = tls.Client(client, &tls.Config{ServerName: "x", CurvePreferences: []tls.CurveID{tls.X25519}}).Handshake()
	}()
	hello := make([]byte, 4096)
	n, _ := server.Read(hello)
	return hello[:n]
})

// recordedAnswer is a ServerHello of TLS 1.3 that chooses X25519, and an encrypted record.
func recordedAnswer() []byte {
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0x13, 1, 0, 0, 46, 0, 43, 0, 2, 3, 4, 0, 51, 0, 36, 0, 29, 0, 32)
	body = append(body, make([]byte, 32)...)
	message := append([]byte{2, 0, 0, byte(len(body))}, body...)
	record := append([]byte{22, 3, 3, 0, byte(len(message))}, message...)
	return append(record, append([]byte{23, 3, 3, 0, 100}, make([]byte, 100)...)...)
}

// A connection of the flood is one of these, by its number. Of ten, seven are handshakes.
const (
	kindPlain   = 7 // no TLS
	kindGarbage = 8 // what starts like a ClientHello and is none
	kindLong    = 9 // a ClientHello of 64 KiB in 200 records
)

// opening is what the client of a flood says first.
func opening(kind int) []byte {
	switch kind {
	case kindPlain:
		return []byte("EHLO example\r\n")
	case kindGarbage:
		return append([]byte{22, 3, 1, 0, 40, 1, 0, 0, 36}, bytes.Repeat([]byte{0xff}, 36)...)
	case kindLong:
		var records []byte
		message := append([]byte{1, 0, 0xff, 0xfc}, make([]byte, 0xfffc)...)
		for len(message) > 0 {
			n := min(len(message), 64<<10/200)
			records = append(append(records, 22, 3, 1, byte(n>>8), byte(n)), message[:n]...)
			message = message[n:]
		}
		return records
	}
	return recordedHello()
}

// serveRecorded answers a recorded ClientHello with a recorded ServerHello, and reads whatever else comes.
func serveRecorded(args []string) error {
	l, err := listen(args[0])
	if err != nil {
		return err
	}
	hello, answer := recordedHello(), recordedAnswer()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			first := make([]byte, len(hello))
			if _, err := io.ReadFull(c, first); err == nil && first[0] == 22 && first[3] == hello[3] && first[4] == hello[4] {
				_, _ = c.Write(answer)
			}
			_, _ = io.Copy(io.Discard, c)
		}()
	}
}

// flood makes connections to a port: how many, and on how many threads. It prints how many it made a second.
func flood(args []string) error {
	count, _ := strconv.Atoi(args[1])
	threads, _ := strconv.Atoi(args[2])
	finished := append([]byte{20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 53}, make([]byte, 53)...)
	size := len(recordedAnswer())
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	start := time.Now()
	for range threads {
		wg.Go(func() {
			answer := make([]byte, size)
			for n := int(next.Add(1)) - 1; n < count; n = int(next.Add(1)) - 1 {
				c, err := net.Dial("tcp", "127.0.0.1:"+args[0])
				if err != nil {
					failed.Store(&err)
					return
				}
				kind := n % 10
				_, _ = c.Write(opening(kind))
				if kind < kindPlain {
					if _, err := io.ReadFull(c, answer); err != nil {
						failed.Store(&err)
					}
					_, _ = c.Write(finished)
				}
				_ = c.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}
		})
	}
	wg.Wait()
	fmt.Println(int(float64(count) / time.Since(start).Seconds()))
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Every connection is reported as what it is, or counted, at the rate that this machine makes them.
func TestWireAccountsForEveryConnection(t *testing.T) {
	harness.RequireBPF(t)
	port := freePort(t)
	server := serve(t, peer("serve-recorded", port), port)
	a := startWire(t)
	const count = 10000
	client := peer("flood", port, strconv.Itoa(count), "16")
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
			partial += times // its other packets did not fit the ring
		default:
			t.Errorf("a wrong verdict, %d times: %s", times, line)
		}
	}
	if partial > n["packets.lost"] {
		t.Errorf("%d handshakes are reported in part, of connections with %d lost packets", partial, n["packets.lost"])
	}
	if expected := 2 * count * 7 / 10; reported > expected || reported+lost < expected {
		t.Errorf("%d handshakes are reported, and %d connections lost, of %d", reported, lost, expected)
	}
	// Connections of other programs on this host count as well.
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

// halfOpen makes connections that send a ClientHello, and holds them until its standard input ends.
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
		if _, err := c.Write(recordedHello()); err != nil {
			return err
		}
	}
	fmt.Println("open")
	var end [1]byte
	_, _ = unix.Read(0, end[:])
	return nil
}

// serveSilence accepts connections, and says nothing.
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
		held[c] = true // not closed by the garbage collector
	}
}

func raiseFiles() error {
	const files = 20000
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: files, Max: files})
}

// A user who opens connections by the thousand that nobody answers takes no handshake of others, and none of these
// connections is called anything but open.
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

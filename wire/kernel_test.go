// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/tracer/event"
	"github.com/crau-otel/crau-otel/wire"
)

// recorder stores events as lines of text.
type recorder struct {
	mu     sync.Mutex
	events map[uint32][]string // by process id
	sensor *wire.Sensor

	ownSockets map[uint64]bool       // sockets of this process
	payloads   map[uint64]*[2][]byte // by socket: the payloads received and sent
	ends       map[uint64]int        // by socket: number of directions that the kernel stopped sending before their close
}

func (r *recorder) Handle(*event.Event) {}

func (r *recorder) Tick(now uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sensor.Tick(now)
}

func (r *recorder) packet(p *event.Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.Flags&event.Owned != 0 && p.PID == uint32(os.Getpid()) {
		r.ownSockets[p.Socket] = true
	}
	if p.Flags&(event.Last|event.Close) == event.Last {
		r.ends[p.Socket]++
	}
	if r.payloads[p.Socket] == nil {
		r.payloads[p.Socket] = new([2][]byte)
	}
	direction := &r.payloads[p.Socket][p.Flags&event.Egress]
	*direction = append(*direction, p.Payload...)
	r.sensor.Packet(p)
}

func (r *recorder) emit(ev *event.Event) {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %x", ev.Kind, ev.Context>>60)
	for _, p := range ev.Pairs {
		switch p.Type {
		case event.Word:
			fmt.Fprintf(&b, " %s=%d", p.Key, p.Word)
		case event.String:
			fmt.Fprintf(&b, " %s=%s", p.Key, p.Value)
		case event.Blob:
			fmt.Fprintf(&b, " %s=%x", p.Key, p.Value)
		}
	}
	r.events[ev.PID] = append(r.events[ev.PID], b.String())
}

// start attaches the programs at sockets and returns a recorder of the events that their packets lead to.
func start(t *testing.T) (*recorder, *tracer.Tracer) {
	t.Helper()
	harness.RequireBPF(t)
	tr, err := tracer.New(tracer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{events: make(map[uint32][]string), ownSockets: make(map[uint64]bool), payloads: make(map[uint64]*[2][]byte), ends: make(map[uint64]int)}
	if r.sensor, err = wire.New(wire.Config{Emit: r.emit}); err != nil {
		t.Fatal(err)
	}
	if err := tr.AttachWire(tracer.WireConfig{Packet: r.packet}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx, r) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, tr
}

// wait returns a process's events once they contain the expected number of ends of contexts.
func (r *recorder) wait(t *testing.T, pid uint32, ends int) []string {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		r.mu.Lock()
		events := slices.Clone(r.events[pid])
		r.mu.Unlock()
		n := 0
		for _, e := range events {
			if strings.HasPrefix(e, fmt.Sprint(event.ContextEnd)+" ") {
				n++
			}
		}
		if n >= ends {
			return events
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d ends:\n%s", n, ends, strings.Join(events, "\n"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestKernelGoTLS(t *testing.T) {
	r, tr := start(t)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hi")) }))
	defer srv.Close()
	c, err := tls.Dial("tcp", srv.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	events := r.wait(t, uint32(os.Getpid()), 2)
	for _, want := range []string{
		"tls::role=client", "tls::role=server", "tls::group=4588 tls::negotiated=1", "tls::ciphersuite=4865", "tls::resumed=0",
	} {
		n := 0
		for _, e := range events {
			if strings.Contains(e, want) {
				n++
			}
		}
		wanted := 2
		if strings.Contains(want, "role") {
			wanted = 1
		}
		if n != wanted {
			t.Errorf("%s: %d times, want %d", want, n, wanted)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for socket := range r.ownSockets {
		if r.ends[socket] != 2 {
			t.Errorf("%d directions of a connection end, want 2", r.ends[socket])
		}
		for _, said := range r.payloads[socket] {
			if record := said[max(0, len(said)-5):]; !bytes.HasPrefix(record, []byte{23, 3, 3}) {
				t.Errorf("a direction ends with %x, want the header of an encrypted record and nothing of its body", record)
			}
		}
	}
	if len(r.ownSockets) != 2 {
		t.Errorf("%d sockets, want 2", len(r.ownSockets))
	}
	stats, err := tr.WireStats()
	if err != nil {
		t.Fatal(err)
	}
	if stats.Sent < 2 || stats.RingFull+stats.RateLimited+stats.NoStorage+stats.RecordsLost > 0 {
		t.Errorf("%+v", stats)
	}
}

// record returns a TLS record of type typ with a body of size bytes: first, and then copies of typ.
func record(typ, first byte, size int) []byte {
	body := bytes.Repeat([]byte{typ}, size)
	body[0] = first
	return append([]byte{typ, 3, 3, byte(size >> 8), byte(size)}, body...)
}

// Early data does not end what a client sends in the clear, because it precedes the server's answer. The first
// encrypted record after the answer does, and its body is not sent to user space.
func TestKernelEarlyData(t *testing.T) {
	r, _ := start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	say := func(from, to net.Conn, records ...[]byte) {
		all := bytes.Join(records, nil)
		_ = to.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := from.Write(all); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(to, all); err != nil {
			t.Fatal(err)
		}
	}
	hello, answer, early, sealed := record(22, 1, 600), record(22, 2, 90), record(23, 23, 300), record(23, 23, 3000)
	say(client, server, hello, early)
	say(server, client, answer)
	say(client, server, record(20, 1, 1), hello)
	say(server, client, answer, sealed)
	say(client, server, sealed)
	say(client, server, sealed)
	want := map[string]int{
		string(bytes.Join([][]byte{hello, early, record(20, 1, 1), hello, sealed[:5]}, nil)): 2, // once per side
		string(bytes.Join([][]byte{answer, answer, sealed[:5]}, nil)):                        2,
	}
	var got map[string]int
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		got = make(map[string]int)
		r.mu.Lock()
		for socket := range r.ownSockets {
			for _, said := range r.payloads[socket] {
				got[string(said)]++
			}
		}
		r.mu.Unlock()
		if maps.Equal(got, want) {
			return
		}
	}
	for said, times := range got {
		t.Errorf("%d times, want %d: %d bytes, %.12x...%x", times, want[said], len(said), said, said[max(0, len(said)-12):])
	}
}

// Connections that close before they are classified are counted as neither TLS nor SSH.
func TestKernelConnectionsThatEndUndecided(t *testing.T) {
	_, tr := start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	const connections = 50
	for range connections {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte("hello"))
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	}
	var stats tracer.WireStats
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if stats, err = tr.WireStats(); err != nil || stats.Other >= 2*connections {
			break
		}
	}
	if err != nil || stats.Other < 2*connections || stats.Seen < stats.Other {
		t.Errorf("%v, %+v: want both sides of %d connections as neither", err, stats, connections)
	}
}

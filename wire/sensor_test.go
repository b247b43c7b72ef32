// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// clientHello returns the records of a ClientHello in which Go's client offers two groups.
func clientHello(t testing.TB) []byte {
	t.Helper()
	return harness.ClientHello(t, &tls.Config{
		InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519},
	})
}

// serverHello returns a record with a ServerHello that selects TLS 1.3 and a group.
func serverHello(group byte) []byte {
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0x13, 1, 0, 0, 12, 0, 43, 0, 2, 3, 4, 0, 51, 0, 2, 0, group)
	message := append([]byte{2, 0, 0, byte(len(body))}, body...)
	return append([]byte{22, 3, 3, 0, byte(len(message))}, message...)
}

// journal records the events that a sensor emits for each connection.
type journal struct {
	sensor *Sensor
	text   map[uint64]*strings.Builder
}

func newJournal(t *testing.T, cfg Config) *journal {
	t.Helper()
	j := &journal{text: make(map[uint64]*strings.Builder)}
	cfg.Emit = func(ev *event.Event) {
		socket := ev.Context &^ (7 << 60)
		if j.text[socket] == nil {
			j.text[socket] = &strings.Builder{}
		}
		for _, p := range ev.Pairs {
			fmt.Fprintf(j.text[socket], " %s=%s%d", p.Key, p.Value, p.Word)
		}
	}
	var err error
	if j.sensor, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return j
}

func (j *journal) of(socket uint64) string {
	if j.text[socket] == nil {
		return ""
	}
	return j.text[socket].String()
}

// client is a connection whose client is on this host. Its methods pass the packets that the kernel would report to the
// sensor.
type client struct {
	*journal
	socket    uint64
	uid       uint32
	seq, peer uint32
}

// hello passes the packet with the start of a ClientHello.
func (c *client) hello(data []byte) {
	c.packet(event.Egress|event.Owned|event.Connected|event.StartsTLS, c.seq, data)
	c.seq += uint32(len(data))
}

func (c *client) packet(flags event.PacketFlags, seq uint32, data []byte) {
	c.sensor.Packet(&event.Packet{
		Time: 1, Socket: c.socket, UID: c.uid, PID: 7, TID: 7, Seq: seq, StartSeq: seq, PeerSeq: c.peer, Flags: flags, Payload: data,
	})
}

const (
	sent     = event.Egress | event.Owned | event.Connected
	received = event.Connected
)

// The order, repetition and overlap of segments do not change the result. If bytes arrive twice, the first copy wins.
func TestSegmentsInAnyOrder(t *testing.T) {
	t.Parallel()
	record, answer := clientHello(t), serverHello(29)
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 2))
		c := &client{journal: newJournal(t, Config{}), socket: 1, seq: 0xfffffff0, peer: 77}
		base := c.seq
		c.hello(record[:6])
		type segment struct{ from, to int }
		var segments []segment
		for at := 6; at < len(record); at += 40 {
			segments = append(segments, segment{max(6, at-r.IntN(20)), min(len(record), at+40+r.IntN(20))})
		}
		segments = append(segments, segments[r.IntN(len(segments))])
		r.Shuffle(len(segments), func(i, k int) { segments[i], segments[k] = segments[k], segments[i] })
		for _, s := range segments {
			c.packet(sent, base+uint32(s.from), record[s.from:s.to])
		}
		c.packet(sent, base, append([]byte{22, 3, 1, 0, 1, 2}, make([]byte, 600)...)) // a late copy with different content
		for _, i := range r.Perm(len(answer)) {
			c.packet(received, 77+uint32(i), answer[i:i+1])
		}
		got := c.of(1)
		if !strings.Contains(got, "tls::group=29 tls::negotiated=1") || strings.Contains(got, "unanswered") ||
			!strings.Contains(got, "tls::ciphersuite=4865") {
			t.Fatalf("seed %d:%s", seed, got)
		}
		c.sensor.Flush()
		if stats := c.sensor.Stats(); stats != (Stats{Connections: 1, Reported: 1}) {
			t.Fatalf("seed %d: %+v", seed, stats)
		}
	}
}

// A handshake is not reported as failed only because the kernel did not send some of its packets to user space.
func TestNoVerdictWithoutAllPackets(t *testing.T) {
	t.Parallel()
	record := clientHello(t)
	hangUp := func(c *client) {
		c.packet(sent|event.Close|event.Last, c.seq, nil)
		c.packet(received|event.Close|event.Last, c.peer, nil)
	}
	for name, test := range map[string]struct {
		end  func(c *client)
		want bool
	}{
		"both sides close":          {hangUp, true},
		"the client closes":         {func(c *client) { c.packet(sent|event.Close|event.Last, c.seq, nil) }, true},
		"the server speaks no TLS":  {func(c *client) { c.packet(received, c.peer, []byte("HTTP/1.0 400 Bad Request\r\n")) }, true},
		"nothing more came":         {func(*client) {}, false},
		"the answer is too long":    {func(c *client) { c.packet(received|event.Last, c.peer, serverHello(29)[:9]); hangUp(c) }, false},
		"a record was lost, no end": {func(c *client) { c.packet(received, c.peer+20, serverHello(29)[20:]) }, false},
	} {
		c := &client{journal: newJournal(t, Config{}), socket: 1, seq: 10, peer: 77}
		c.hello(record)
		test.end(c)
		c.sensor.Flush()
		if got := strings.Contains(c.of(1), "tls::unanswered"); got != test.want {
			t.Errorf("%s: unanswered %t, want %t:%s", name, got, test.want, c.of(1))
		}
		if !strings.Contains(c.of(1), "tls::offered_groups") {
			t.Errorf("%s: the offer is missing:%s", name, c.of(1))
		}
		if stats := c.sensor.Stats(); stats != (Stats{Connections: 1, Reported: 1}) {
			t.Errorf("%s: %+v", name, stats)
		}
	}
}

// A connection whose hello the kernel cuts off is counted as too long, not as unanswered.
func TestCutHelloIsTooLong(t *testing.T) {
	t.Parallel()
	record := clientHello(t)
	c := &client{journal: newJournal(t, Config{}), socket: 1, seq: 10, peer: 77}
	c.hello(record[:6])
	for i := range 30 {
		c.packet(sent, c.seq, record[6+i:7+i])
		c.seq++
	}
	c.packet(sent|event.Last, c.seq, record[36:37])
	if stats := c.sensor.Stats(); stats != (Stats{Connections: 1, TooLong: 1}) || c.of(1) != "" {
		t.Errorf("%+v:%s", stats, c.of(1))
	}
}

// A user with many connections that never finish their hellos, or never get an answer, is limited in connections and in
// bytes. The handshakes of other users are not lost.
func TestLimitsAreTheOwnersOwn(t *testing.T) {
	t.Parallel()
	record := clientHello(t)
	for name, test := range map[string]struct {
		cfg  Config
		open func(*client)
	}{
		"half-open": {Config{MaxConnections: 100}, func(c *client) { c.hello(record) }},
		"large": {Config{MaxBytes: 1 << 20}, func(c *client) {
			c.hello([]byte{22, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xf0})
			c.packet(sent, c.seq, make([]byte, 16000))
		}},
	} {
		j := newJournal(t, test.cfg)
		victim := &client{journal: j, socket: 1, uid: 1, seq: 10, peer: 77}
		victim.hello(record)
		for i := range 1000 {
			test.open(&client{journal: j, socket: uint64(2 + i), uid: 2, seq: 10, peer: 77})
			if n := len(j.sensor.connections); j.sensor.bytes > 1<<20 || n > 100 && test.cfg.MaxConnections == 100 {
				t.Fatalf("%s: %d bytes, %d connections", name, j.sensor.bytes, n)
			}
		}
		victim.packet(received, 77, serverHello(29))
		if !strings.Contains(j.of(1), "tls::group=29") {
			t.Errorf("%s: the other owner's handshake is lost:%s", name, j.of(1))
		}
		j.sensor.Flush()
		if s := j.sensor.Stats(); s.Connections != 1001 ||
			s.Reported+s.Unanswered+s.Malformed+s.TooLong+s.Evicted != s.Connections || j.sensor.bytes != 0 || len(j.sensor.shares) != 0 {
			t.Errorf("%s: %+v, %d bytes", name, s, j.sensor.bytes)
		}
	}
}

// A client's encrypted records after early data look the same as more early data. The sensor ends the connection when
// the kernel has stopped sending both directions, without waiting until the connection closes.
func TestEarlyDataIsOverWithItsPackets(t *testing.T) {
	j := newJournal(t, Config{})
	c := &client{journal: j, socket: 5, peer: 9}
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0, 2, 0x13, 1, 1, 0)
	body = append(body, 0, 22, 0, 42, 0, 0, 0, 43, 0, 3, 2, 3, 4, 0, 51, 0, 7, 0, 5, 0, 29, 0, 1, 0)
	message := append([]byte{1, 0, 0, byte(len(body))}, body...)
	c.hello(append([]byte{22, 3, 1, 0, byte(len(message))}, message...))
	c.packet(sent, c.seq, []byte{23, 3, 3, 0, 2, 1, 2})
	c.packet(received|event.Last, 9, append(serverHello(29), 23, 3, 3, 0, 99))
	if n := j.sensor.Stats(); n.Reported != 0 {
		t.Errorf("over too early: %+v", n)
	}
	c.packet(sent|event.Last, c.seq+7, []byte{23, 3, 3, 0, 53})
	if n := j.sensor.Stats(); n.Reported != 1 || n.Connections != 1 {
		t.Errorf("%+v, want one connection that is reported", n)
	}
	if text := j.of(5); !strings.Contains(text, "tls::group=29") || strings.Contains(text, "unanswered") {
		t.Error(text)
	}
}

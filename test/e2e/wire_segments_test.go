// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/tls"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/test/harness"
)

// inNetwork runs f on a thread in a separate network namespace whose loopback interface is up. Programs that f starts
// are in the same namespace.
func inNetwork(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done) // the thread stays locked, so it ends with the goroutine
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("unshare: %v", err)
			return
		}
		if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			t.Errorf("ip: %v\n%s", err, out)
			return
		}
		f()
	}()
	<-done
}

// segment is a part of a stream and its offset in the stream.
type segment struct {
	at   int
	data []byte
}

// cut splits a stream into segments of at most size bytes.
func cut(stream []byte, size int) (segments []segment) {
	for at := 0; at < len(stream); at += size {
		segments = append(segments, segment{at, stream[at:min(at+size, len(stream))]})
	}
	return segments
}

// network is the far end of a TUN device. It acts as a host at 10.9.9.2 that makes TCP connections to 10.9.9.1 and
// sends given segments.
type network struct {
	t       *testing.T
	tun     *os.File
	port    uint16
	ownPort uint16
}

const (
	fin = 1
	syn = 2
	rst = 4
	ack = 16
)

var near, far = net.IPv4(10, 9, 9, 1).To4(), net.IPv4(10, 9, 9, 2).To4()

func newNetwork(t *testing.T, port uint16) *network {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	request, err := unix.NewIfreq("crau0")
	if err != nil {
		t.Fatal(err)
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"addr", "add", near.String() + "/24", "dev", "crau0"}, {"link", "set", "crau0", "up"}} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v\n%s", args, err, out)
		}
	}
	n := &network{t: t, tun: os.NewFile(uintptr(fd), "tun"), port: port, ownPort: 40000}
	t.Cleanup(func() { _ = n.tun.Close() })
	return n
}

// checksum returns the Internet checksum (RFC 1071) of b.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func (n *network) send(flags byte, seq, acked uint32, data []byte) {
	n.t.Helper()
	segment := make([]byte, 20, 20+len(data))
	binary.BigEndian.PutUint16(segment, n.ownPort)
	binary.BigEndian.PutUint16(segment[2:], n.port)
	binary.BigEndian.PutUint32(segment[4:], seq)
	binary.BigEndian.PutUint32(segment[8:], acked)
	segment[12], segment[13] = 5<<4, flags
	binary.BigEndian.PutUint16(segment[14:], 65535)
	segment = append(segment, data...)
	pseudo := slices.Concat(far, near, []byte{0, 6, byte(len(segment) >> 8), byte(len(segment))}, segment)
	binary.BigEndian.PutUint16(segment[16:], checksum(pseudo))
	packet := make([]byte, 20)
	packet[0], packet[8], packet[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(packet[2:], uint16(20+len(segment)))
	copy(packet[12:], far)
	copy(packet[16:], near)
	binary.BigEndian.PutUint16(packet[10:], checksum(packet))
	if _, err := n.tun.Write(append(packet, segment...)); err != nil {
		n.t.Error(err)
	}
}

// receive returns the TCP flags, the sequence number and the payload of the connection's next packet. ok is false if no
// packet arrives within wait.
func (n *network) receive(wait time.Duration) (flags byte, seq uint32, data []byte, ok bool) {
	if err := n.tun.SetReadDeadline(time.Now().Add(wait)); err != nil {
		n.t.Error(err)
	}
	packet := make([]byte, 65536)
	for {
		size, err := n.tun.Read(packet)
		if err != nil {
			return 0, 0, nil, false
		}
		if size < 40 || packet[0] != 0x45 || packet[9] != 6 || binary.BigEndian.Uint16(packet[22:]) != n.ownPort {
			continue
		}
		tcp := packet[20:size]
		return tcp[13], binary.BigEndian.Uint32(tcp[4:]), tcp[tcp[12]>>4*4:], true
	}
}

// connect opens a connection, sends the segments in the given order, and returns how many bytes the other side has sent
// by 300 ms after its last packet. The connection ends with a reset.
func (n *network) connect(segments []segment) (answered int) {
	n.t.Helper()
	n.ownPort++
	start := rand.Uint32()
	n.send(syn, start, 0, nil)
	flags, seq, _, ok := n.receive(10 * time.Second)
	if !ok || flags != syn|ack {
		n.t.Fatalf("no answer to a SYN: flags %d, %t", flags, ok)
	}
	next := seq + 1
	n.send(ack, start+1, next, nil)
	end := start + 1
	for _, s := range segments {
		n.send(ack, start+1+uint32(s.at), next, s.data)
		end = max(end, start+1+uint32(s.at+len(s.data)))
	}
	for {
		flags, seq, data, ok := n.receive(300 * time.Millisecond)
		if !ok {
			break
		}
		if len(data) > 0 && seq == next {
			next += uint32(len(data))
			answered += len(data)
			n.send(ack, end, next, nil)
		}
		if flags&(fin|rst) != 0 {
			break
		}
	}
	n.send(rst|ack, end, next, nil)
	return answered
}

// Segments from a host with another TCP implementation may arrive in any order, repeatedly and overlapping. The
// handshake is reported correctly, or the connection is counted.
func TestWireSegmentsFromTheNetwork(t *testing.T) {
	harness.RequireBPF(t)
	hello := harness.ClientHello(t, &tls.Config{ServerName: "x", CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519}})
	small := harness.ClientHello(t, &tls.Config{ServerName: "x", CurvePreferences: []tls.CurveID{tls.X25519}})
	r := rand.New(rand.NewPCG(1, 2))
	shuffled := func(segments []segment, from int) []segment {
		r.Shuffle(len(segments)-from, func(i, k int) {
			segments[from+i], segments[from+k] = segments[from+k], segments[from+i]
		})
		return segments
	}
	swapped := cut(hello, 1400)
	swapped[0], swapped[1] = swapped[1], swapped[0]
	var overlapping []segment
	for at := 0; at < len(hello); at += 100 {
		overlapping = append(overlapping, segment{max(0, at-30), hello[max(0, at-30):min(len(hello), at+100)]})
	}
	// A repetition of bytes that have already arrived, with different content.
	lie := segment{6, make([]byte, 600)}
	whole := map[string][]segment{
		"whole": cut(hello, 1400), "the second segment first": swapped, "a tenth each": cut(hello, len(hello)/10+1),
		"of 80 bytes, shuffled behind the first": shuffled(cut(hello, 80), 1),
		"each twice":                             slices.Concat(cut(hello, 200), cut(hello, 200)),
		"overlapping, shuffled behind the first": shuffled(overlapping, 1),
		"a lie about what came":                  {segment{0, hello[:1000]}, lie, segment{1000, hello[1000:]}},
	}
	inNetwork(t, func() {
		n := newNetwork(t, 4433)
		pid := serve(t, peer("https", near.String()+":4433"), "4433")
		a := startWire(t)
		want := make(shakes)
		for name, segments := range whole {
			if n.connect(segments) == 0 {
				t.Errorf("%s: the server does not answer", name)
			}
			want["server: server 1.3 TLS_AES_128_GCM_SHA256 X25519MLKEM768 [X25519MLKEM768 x25519] hybrid"]++
		}
		// There are more segments than the agent examines: the server answers, and the connection is counted as too
		// long.
		tooLong := [][]segment{cut(small, 1), shuffled(cut(small, 1), 1)}
		for _, segments := range tooLong {
			if n.connect(segments) == 0 {
				t.Error("the server does not answer segments of one byte")
			}
		}
		unordered := shuffled(cut(hello, 80), 0)
		if n.connect(unordered) == 0 {
			t.Error("the server does not answer shuffled segments")
		}
		totals := a.Stop()
		got := handshakesOf(t, a, map[int]string{pid: "server"})
		for line := range want {
			if got[line] == want[line]+1 { // shuffled segments may by chance arrive in an order that is reported
				want[line]++
			}
		}
		got.check(t, want)
		if connections(t, a)["too_long"] < len(tooLong) {
			t.Errorf("too long %d, want %d: %v", connections(t, a)["too_long"], len(tooLong), totals)
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package hello

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// packet is the data of one write by one side.
type packet struct {
	dir  Direction
	data []byte
}

// tape records what both sides of a connection write.
type tape struct {
	mu      sync.Mutex
	packets []packet
}

func (t *tape) record(d Direction, b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.packets = append(t.packets, packet{d, bytes.Clone(b)})
}

// recorded is a net.Conn that records its writes on a tape.
type recorded struct {
	net.Conn
	tape *tape
	dir  Direction
}

func (r *recorded) Write(b []byte) (int, error) {
	r.tape.record(r.dir, b)
	return r.Conn.Write(b)
}

// proxy copies between two connections and records both directions.
func (t *tape) proxy(client, server net.Conn) {
	var wg sync.WaitGroup
	for _, way := range []struct {
		dir      Direction
		from, to net.Conn
	}{{FromClient, client, server}, {FromServer, server, client}} {
		wg.Go(func() {
			buf := make([]byte, 64<<10)
			for {
				n, err := way.from.Read(buf)
				if n > 0 {
					t.record(way.dir, buf[:n])
					if _, err := way.to.Write(buf[:n]); err != nil {
						return
					}
				}
				if err != nil {
					if c, ok := way.to.(*net.TCPConn); ok {
						_ = c.CloseWrite()
					}
					return
				}
			}
		})
	}
	wg.Wait()
}

// play adds recorded packets to a new connection and returns the connection.
func play(p Protocol, packets []packet) *Conn {
	c := NewConn(p)
	seq := [2]uint32{0xfffffff0, 12345}
	for d := range seq {
		c.Start(Direction(d), seq[d])
	}
	for _, p := range packets {
		c.Add(p.dir, seq[p.dir], p.data)
		seq[p.dir] += uint32(len(p.data))
	}
	return c
}

// playBytes adds recorded packets to a new connection, one byte per call. For each packet, it adds the second half
// first, and then all bytes from the beginning, so that bytes arrive out of order and twice.
func playBytes(p Protocol, packets []packet) *Conn {
	c := NewConn(p)
	seq := [2]uint32{0xfffffff0, 12345}
	for d := range seq {
		c.Start(Direction(d), seq[d])
	}
	for _, p := range packets {
		for _, part := range [][2]int{{len(p.data) / 2, len(p.data)}, {0, len(p.data)}} {
			for i := part[0]; i < part[1]; i++ {
				c.Add(p.dir, seq[p.dir]+uint32(i), p.data[i:i+1])
			}
		}
		seq[p.dir] += uint32(len(p.data))
	}
	return c
}

// load reads a recording, which has one packet per line in hexadecimal, with > before a packet of the client and <
// before one of the server.
func load(t testing.TB, name string) []packet {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var packets []packet
	for line := range strings.Lines(string(b)) {
		if line[0] == '#' {
			continue
		}
		data, err := hex.DecodeString(strings.TrimSpace(line[1:]))
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, packet{Direction(strings.IndexByte("><", line[0])), data})
	}
	return packets
}

// save writes a recording in the format that load reads.
func save(t *testing.T, name, comment string, packets []packet) {
	t.Helper()
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	fmt.Fprintf(w, "# SPDX-License-Identifier: Apache-2.0\n# %s\n", comment)
	for _, p := range packets {
		fmt.Fprintf(w, "%c%x\n", "><"[p.dir], p.data)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("testdata", name), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// through starts a proxy to an address. It returns the proxy's address, and a function that waits for the end of one
// connection and returns the recording of this connection.
func through(t *testing.T, to string) (addr string, done func() []packet) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	tp := &tape{}
	over := make(chan error, 1)
	go func() {
		client, err := l.Accept()
		if err != nil {
			over <- err
			return
		}
		defer client.Close()
		server, err := net.Dial("tcp", to)
		if err != nil {
			over <- err
			return
		}
		defer server.Close()
		tp.proxy(client, server)
		over <- io.EOF
	}()
	return l.Addr().String(), func() []packet {
		if err := <-over; err != io.EOF { //nolint:errorlint // sent by the goroutine above
			t.Fatal(err)
		}
		return tp.packets
	}
}

// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// PingFlood is a server that accepts HTTP/2 connections, sends PING frames as fast as it can, and reads nothing after
// the first bytes. A client that answers every PING ends up with a connection that it cannot write to.
type PingFlood struct {
	// Address is the server's host and port.
	Address string
	// Blocked is closed when the first connection accepts no more PING frames, because the client no longer reads them.
	Blocked chan struct{}
}

// FloodPings starts a PingFlood, which ends with the test.
func FloodPings(t testing.TB) *PingFlood {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &PingFlood{Address: listener.Addr().String(), Blocked: make(chan struct{})}
	var once sync.Once
	blocked := func() { once.Do(func() { close(f.Blocked) }) }
	var connections sync.WaitGroup
	done := make(chan struct{})
	connections.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() {
				defer c.Close()
				flood(c, done, blocked)
			})
		}
	})
	t.Cleanup(func() {
		close(done)
		_ = listener.Close()
		connections.Wait()
	})
	return f
}

// flood sends PING frames until done is closed. When a frame cannot be written any more, it calls blocked.
func flood(c net.Conn, done <-chan struct{}, blocked func()) {
	if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	framer := http2.NewFramer(c, nil)
	if framer.WriteSettings() != nil || framer.WriteSettingsAck() != nil {
		return
	}
	for {
		select {
		case <-done:
			return
		default:
		}
		_ = c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		if err := framer.WritePing(false, [8]byte{1}); err != nil {
			blocked()
			<-done
			return
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/test/harness"
)

// rawConn is a net.Conn of a blocking socket.
type rawConn struct{ fd int }

func (c rawConn) Write(b []byte) (int, error)      { return unix.Write(c.fd, b) }
func (c rawConn) Close() error                     { return unix.Close(c.fd) }
func (c rawConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c rawConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c rawConn) SetDeadline(time.Time) error      { return nil }
func (c rawConn) SetReadDeadline(time.Time) error  { return nil }
func (c rawConn) SetWriteDeadline(time.Time) error { return nil }

func (c rawConn) Read(b []byte) (int, error) {
	n, err := unix.Read(c.fd, b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}

// connectAgain connects one socket to a port three times in turn and makes a TLS handshake over each connection.
func connectAgain(args []string) error {
	port, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for range 3 {
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		client := tls.Client(rawConn{fd}, &tls.Config{InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}})
		if err := client.Handshake(); err != nil {
			return fmt.Errorf("handshake: %w", err)
		}
		if _, err := client.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
			return err
		}
		if _, err := client.Read(make([]byte, 100)); err != nil {
			return err
		}
		var none [16]byte // an address of family AF_UNSPEC disconnects the socket
		if _, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&none)), 16); errno != 0 {
			return fmt.Errorf("disconnect: %w", errno)
		}
	}
	return nil
}

// If a program reuses a socket, each of the socket's connections is a separate handshake.
func TestWireReusedSockets(t *testing.T) {
	harness.RequireBPF(t)
	(&stage{t: t}).perform([]couple{{
		name: "again", server: func(_ *stage, port string) *exec.Cmd { return peer("https", port) },
		client:    func(_ *stage, port string) *exec.Cmd { return peer("again", port) },
		handshake: "1.3 TLS_AES_128_GCM_SHA256 x25519 [x25519] classical", times: 3,
	}})
}

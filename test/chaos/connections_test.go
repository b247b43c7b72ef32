// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// connections makes TLS connections from this process to itself. Some of them end before or during the handshake.
func connections(v *visit) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(deadline))
				s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{v.certificate}, MinVersion: tls.VersionTLS12})
				_, _ = io.Copy(s, s)
			}()
		}
	}()
	var errs []error
	for range 5 + v.random.IntN(15) {
		c, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			return err
		}
		_ = c.SetDeadline(time.Now().Add(deadline))
		switch v.random.IntN(4) {
		case 0: // send nothing
		case 1:
			_, err = c.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252}) // send the beginning of a ClientHello
		default:
			err = echo(tls.Client(c, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}))
		}
		errs = append(errs, err, c.Close())
		time.Sleep(jitter(v.random, 50*time.Millisecond))
	}
	return errors.Join(errs...)
}

// echo sends data over a connection and checks that the server sends the same data back.
func echo(c *tls.Conn) error {
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 5))
	return err
}

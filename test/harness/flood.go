// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
)

// RecordedHello returns a TLS record with a TLS 1.3 ClientHello that offers X25519.
var RecordedHello = sync.OnceValue(func() []byte {
	hello, err := clientHello(&tls.Config{ServerName: "x", CurvePreferences: []tls.CurveID{tls.X25519}})
	if err != nil {
		panic(err) // impossible: the error could only come from crypto/tls or net.Pipe
	}
	return hello
})

// RecordedAnswer returns two TLS records: a TLS 1.3 ServerHello that chooses X25519 and TLS_AES_128_GCM_SHA256, and an
// encrypted record.
func RecordedAnswer() []byte {
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0x13, 1, 0, 0, 46, 0, 43, 0, 2, 3, 4, 0, 51, 0, 36, 0, 29, 0, 32)
	body = append(body, make([]byte, 32)...)
	message := append([]byte{2, 0, 0, byte(len(body))}, body...)
	record := append([]byte{22, 3, 3, 0, byte(len(message))}, message...)
	return append(record, append([]byte{23, 3, 3, 0, 100}, make([]byte, 100)...)...)
}

// clientHello returns the record of the ClientHello that crypto/tls sends.
func clientHello(config *tls.Config) ([]byte, error) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go func() { _ = tls.Client(client, config).HandshakeContext(context.Background()) }()
	header := make([]byte, 5)
	if _, err := io.ReadFull(server, header); err != nil {
		return nil, err
	}
	body := make([]byte, int(header[3])<<8|int(header[4]))
	_, err := io.ReadFull(server, body)
	return append(header, body...), err
}

// Flood makes thousands of TCP connections with testdata/flood.c. Of every ten connections, seven are handshakes: the
// client sends RecordedHello and the server RecordedAnswer. In the other three, the client sends text that is not TLS,
// bytes that only start like a ClientHello, or a ClientHello of 64 KiB in 200 records.
type Flood struct {
	program, hello, answer string
	others                 []string
}

// FloodHandshakes is the number of handshakes in every ten connections of a Flood.
const FloodHandshakes = 7

// NewFlood builds the program and writes the files that it sends to the folder dir. root is the path of the
// repository's root.
func NewFlood(root, dir string) (*Flood, error) {
	f := &Flood{program: filepath.Join(dir, "flood"), hello: filepath.Join(dir, "hello"), answer: filepath.Join(dir, "answer")}
	if err := CompileC(root, f.program, "-D_GNU_SOURCE", filepath.Join(root, "test/harness/testdata/flood.c"), "-pthread"); err != nil {
		return nil, err
	}
	var long []byte
	message := append([]byte{1, 0, 0xff, 0xfc}, make([]byte, 0xfffc)...)
	for len(message) > 0 {
		n := min(len(message), 64<<10/200)
		long = append(append(long, 22, 3, 1, byte(n>>8), byte(n)), message[:n]...)
		message = message[n:]
	}
	files := [][]byte{
		RecordedHello(), RecordedAnswer(), []byte("EHLO example\r\n"),
		append([]byte{22, 3, 1, 0, 40, 1, 0, 0, 36}, bytes.Repeat([]byte{0xff}, 36)...), long,
	}
	paths := []string{f.hello, f.answer}
	for _, name := range []string{"plain", "garbage", "long"} {
		f.others = append(f.others, filepath.Join(dir, name))
	}
	for i, path := range append(paths, f.others...) {
		if err := os.WriteFile(path, files[i], 0o600); err != nil {
			return nil, fmt.Errorf("write %s: %w", path, err)
		}
	}
	return f, nil
}

// Server returns a command that serves the connections. It runs until it is killed.
func (f *Flood) Server(port string, threads int) *exec.Cmd {
	return exec.Command(f.program, "serve", port, strconv.Itoa(threads), f.hello, f.answer)
}

// Client returns a command that makes count connections, at most rate per second (0: no limit). It prints how many it
// made per second.
func (f *Flood) Client(port string, threads, count, rate int) *exec.Cmd {
	args := []string{"connect", port, strconv.Itoa(threads), strconv.Itoa(count), strconv.Itoa(rate), f.hello, f.answer}
	return exec.Command(f.program, append(args, f.others...)...)
}

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

// RecordedHello is a ClientHello of TLS 1.3 that offers X25519, in a record.
var RecordedHello = sync.OnceValue(func() []byte {
	hello, err := clientHello(&tls.Config{ServerName: "x", CurvePreferences: []tls.CurveID{tls.X25519}})
	if err != nil {
		panic(err) // can only come from crypto/tls and net.Pipe
	}
	return hello
})

// RecordedAnswer returns a ServerHello of TLS 1.3 that chooses X25519 and TLS_AES_128_GCM_SHA256, and an encrypted
// record.
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

// Flood makes thousands of connections, with testdata/flood.c. Of every ten, seven are handshakes with RecordedHello
// and RecordedAnswer. The others are not TLS, something that only starts like a ClientHello, and a ClientHello of 64
// KiB in 200 records.
type Flood struct {
	program, hello, answer string
	others                 []string
}

// FloodHandshakes is how many of every ten connections of a Flood are handshakes.
const FloodHandshakes = 7

// NewFlood builds the program and writes its files to a folder. Root is the repository.
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

// Server returns the server, which ends when it is killed.
func (f *Flood) Server(port string, threads int) *exec.Cmd {
	return exec.Command(f.program, "serve", port, strconv.Itoa(threads), f.hello, f.answer)
}

// Client returns a client that makes count connections, at most rate a second unless that is 0. It prints how many it
// made per second.
func (f *Flood) Client(port string, threads, count, rate int) *exec.Cmd {
	args := []string{"connect", port, strconv.Itoa(threads), strconv.Itoa(count), strconv.Itoa(rate), f.hello, f.answer}
	return exec.Command(f.program, append(args, f.others...)...)
}

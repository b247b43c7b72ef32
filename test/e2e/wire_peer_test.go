// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// peers are functions that the test binary can run in a separate process instead of tests. They need no other program,
// so that they also run in the virtual machines of test/vm.
var peers = map[string]func(args []string) error{
	"https": serveHTTPS, "get": getHTTPS, "smtp": serveSMTP, "load": loadTLS,
	"silence": serveSilence, "half-open": halfOpen, "again": connectAgain,
}

const peerVariable = "E2E_PEER"

// runPeer runs a peer and exits, if this process was started as a peer.
func runPeer() {
	peer, ok := peers[os.Getenv(peerVariable)]
	if !ok {
		return
	}
	if err := peer(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// peer returns a command that runs the test binary as a peer.
func peer(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), peerVariable+"="+name)
	return cmd
}

// newCertificate returns a self-signed certificate for 127.0.0.1 and localhost.
func newCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// writePEM writes a certificate and its key to two files in PEM format.
func writePEM(c tls.Certificate, certFile, keyFile string) error {
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
	if err := os.WriteFile(certFile, cert, 0o644); err != nil {
		return err
	}
	return os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600)
}

// listen listens on a port of the loopback interface, or on an address with a port.
func listen(where string) (net.Listener, error) {
	if !strings.Contains(where, ":") {
		where = "127.0.0.1:" + where
	}
	return net.Listen("tcp", where)
}

// serveHTTPS serves HTTPS on a port until it is killed. Further arguments are the groups that the server accepts.
func serveHTTPS(args []string) error {
	cert, err := newCertificate()
	if err != nil {
		return err
	}
	l, err := listen(args[0])
	if err != nil {
		return err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, os.Getpid()) })
	srv := &http.Server{
		Handler: handler, ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, CurvePreferences: groups(args[1:])},
	}
	return srv.ServeTLS(l, "", "")
}

func groups(names []string) (ids []tls.CurveID) {
	for _, name := range names {
		for _, id := range []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384} {
			if id.String() == name {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// getHTTPS gets a page from a port. Further arguments are the groups that the client offers.
func getHTTPS(args []string) error {
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, CurvePreferences: groups(args[1:]),
	}}}
	response, err := client.Get("https://127.0.0.1:" + args[0])
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}

// loadTLS makes TLS connections to a port. The arguments after the port are the number of connections, the rate per
// second (0: full speed) and the number of threads. loadTLS prints the server's answers, one per line.
func loadTLS(args []string) error {
	var numbers [3]int
	for i := range numbers {
		n, err := strconv.Atoi(args[i+1])
		if err != nil {
			return err
		}
		numbers[i] = n
	}
	count, rate, threads := numbers[0], numbers[1], numbers[2]
	var wg sync.WaitGroup
	var next atomic.Int64
	errs := make(chan error, threads)
	lines := make(chan []byte, count)
	start := time.Now()
	for range threads {
		wg.Go(func() {
			runtime.LockOSThread()
			for {
				n := int(next.Add(1)) - 1
				if n >= count {
					return
				}
				if rate > 0 {
					time.Sleep(time.Until(start.Add(time.Duration(n) * time.Second / time.Duration(rate))))
				}
				line, err := ask(args[0])
				if err != nil {
					errs <- err
					return
				}
				lines <- line
			}
		})
	}
	wg.Wait()
	close(lines)
	for line := range lines {
		_, _ = os.Stdout.Write(line)
	}
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// ask connects to a port and returns the last line of the server's answer.
func ask(port string) ([]byte, error) {
	d := net.Dialer{Timeout: time.Minute}
	c, err := tls.DialWithDialer(&d, "tcp", "127.0.0.1:"+port, &tls.Config{
		InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519},
	})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		return nil, err
	}
	answer = bytes.TrimSpace(answer)
	return append(answer[bytes.LastIndexByte(answer, '\n')+1:], '\n'), nil
}

// serveSMTP serves the part of SMTP that a client needs for STARTTLS.
func serveSMTP(args []string) error {
	cert, err := newCertificate()
	if err != nil {
		return err
	}
	l, err := listen(args[0])
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			_, _ = io.WriteString(c, "220 test ESMTP\r\n")
			lines := bufio.NewScanner(c)
			for lines.Scan() {
				switch line := lines.Text(); {
				case strings.HasPrefix(line, "EHLO"):
					_, _ = io.WriteString(c, "250-test\r\n250 STARTTLS\r\n")
				case line == "STARTTLS":
					_, _ = io.WriteString(c, "220 go ahead\r\n")
					t := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}})
					_, _ = io.Copy(io.Discard, t)
					return
				}
			}
		}()
	}
}

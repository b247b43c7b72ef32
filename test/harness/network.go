// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// UnusedAddress returns a loopback address and port that are not in use.
func UnusedAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Proxy is an HTTP proxy that supports only the method CONNECT. It connects to one fixed address, whatever address the
// client requests.
type Proxy struct {
	// URL is the URL of the proxy, for the variable HTTPS_PROXY.
	URL string

	target string
	asked  atomic.Pointer[string]
}

// StartProxy starts a Proxy that connects to target. The proxy is stopped at the end of the test.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{URL: "http://" + l.Addr().String(), target: target}
	server := &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go server.Serve(l) //nolint:errcheck // returns when Close is called
	t.Cleanup(func() { _ = server.Close() })
	return p
}

// Asked returns the host and port that the last client requested, or "" if there was no request since the last call of
// Asked.
func (p *Proxy) Asked() string {
	if host := p.asked.Swap(nil); host != nil {
		return *host
	}
	return ""
}

// ServeHTTP implements [http.Handler].
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.asked.Store(&r.Host)
	upstream, err := net.Dial("tcp", p.target)
	if err != nil || r.Method != http.MethodConnect {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer upstream.Close()
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	go io.Copy(upstream, buffered) //nolint:errcheck // returns when the connections are closed
	_, _ = io.Copy(client, upstream)
}

// ClientHello returns the record of the ClientHello that crypto/tls sends.
func ClientHello(t testing.TB, config *tls.Config) []byte {
	t.Helper()
	hello, err := clientHello(config)
	if err != nil {
		t.Fatal(err)
	}
	return hello
}

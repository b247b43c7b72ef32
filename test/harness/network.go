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

// UnusedAddress returns an address of the loopback interface that is not in use.
func UnusedAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Proxy is an HTTP proxy that supports the method CONNECT. It connects to the same address whatever is requested.
type Proxy struct {
	// URL of the proxy, for HTTPS_PROXY.
	URL string

	target string
	asked  atomic.Pointer[string]
}

// StartProxy starts a Proxy that connects to target. It ends with the test.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{URL: "http://" + l.Addr().String(), target: target}
	server := &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go server.Serve(l) //nolint:errcheck // ends by Close
	t.Cleanup(func() { _ = server.Close() })
	return p
}

// Asked returns the host and port of the last request to the proxy, or "" if there was none since the last call.
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
	go io.Copy(upstream, buffered) //nolint:errcheck // ends with the connections
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

// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver/dns"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/otlp"
	"github.com/crau-otel/crau-otel/test/harness"
)

func splitHostPort(t *testing.T, address string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

// nameServer answers every DNS question for an IPv4 address with addresses, in this order.
type nameServer struct {
	conn      net.PacketConn
	addresses atomic.Pointer[[][4]byte]
}

// set sets the addresses of the answers.
func (s *nameServer) set(addresses ...[4]byte) { s.addresses.Store(&addresses) }

// useNameServer starts a name server, and makes Go's resolver use it during the test.
func useNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := &nameServer{conn: conn}
	go s.serve()
	old := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = old })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	dns.SetMinResolutionInterval(10 * time.Millisecond) // gRPC resolves a name at most every 30 s by default
	return s
}

func (s *nameServer) serve() {
	b := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(b)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(b[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response, m.Additionals = true, nil
		if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
			for _, address := range *s.addresses.Load() {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
					Body:   &dnsmessage.AResource{A: address},
				})
			}
		}
		if answer, err := m.Pack(); err == nil {
			_, _ = s.conn.WriteTo(answer, from)
		}
	}
}

// open returns an exporter for an endpoint.
func open(t *testing.T, endpoint string) *otlp.Exporter {
	t.Helper()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
	e, err := otlp.Open("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Shutdown(context.Background()) })
	return e
}

// If the address of a receiver changes, its name is resolved again.
func TestReceiverThatMoves(t *testing.T) {
	s := useNameServer(t)
	s.set([4]byte{127, 0, 0, 1})
	first := harness.Receive(t, harness.ReceiverConfig{})
	_, port := splitHostPort(t, first.Address())
	e := open(t, "http://collector.test:"+port)
	eventually(t, e)

	first.Close()
	s.set([4]byte{127, 0, 0, 2})
	second := harness.Receive(t, harness.ReceiverConfig{Address: "127.0.0.2:" + port})
	eventually(t, e)
	if first.Accepted.Load() != 1 || second.Accepted.Load() != 1 {
		t.Errorf("%d and %d spans arrived, want 1 and 1", first.Accepted.Load(), second.Accepted.Load())
	}
}

// If a name has several addresses, the exporter soon connects to one that works, even if nobody listens at other
// addresses, or listens but does not answer.
func TestReceiverWithDeadAddresses(t *testing.T) {
	s := useNameServer(t)
	l, err := net.Listen("tcp", "127.0.0.4:0") // accepts connections, but sends nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port := splitHostPort(t, l.Addr().String())
	r := harness.Receive(t, harness.ReceiverConfig{Address: "127.0.0.6:" + port})
	s.set([4]byte{127, 0, 0, 4}, [4]byte{127, 0, 0, 5}, [4]byte{127, 0, 0, 6})
	eventually(t, open(t, "http://collector.test:"+port))
	if n := r.Accepted.Load(); n != 1 {
		t.Errorf("%d spans arrived, want 1", n)
	}
}

// The name of a host may be the same as a URL scheme of gRPC, and an IPv6 address may have a zone.
func TestHostsThatLookLikeSomethingElse(t *testing.T) {
	useNameServer(t).set([4]byte{127, 0, 0, 1})
	four, six := harness.Receive(t, harness.ReceiverConfig{}), harness.Receive(t, harness.ReceiverConfig{Address: "[::1]:0"})
	for _, host := range []string{"unix", "unix-abstract", "dns", "passthrough", "xds", "Collector", "[::1]", "[::1%25lo]"} {
		r := four
		if host[0] == '[' {
			r = six
		}
		before := r.Accepted.Load()
		_, port := splitHostPort(t, r.Address())
		if err := exportTrees(t.Context(), open(t, "http://"+host+":"+port), handshake(1)); err != nil {
			t.Errorf("%s: %v", host, err)
		}
		if n := r.Accepted.Load() - before; n != 1 {
			t.Errorf("%s: %d spans arrived, want 1", host, n)
		}
	}
}

// If a receiver, or a load balancer in front of it, closes connections that are idle or old, no call fails because of
// that.
func TestReceiverThatClosesConnections(t *testing.T) {
	r := harness.Receive(t, harness.ReceiverConfig{Options: []grpc.ServerOption{grpc.KeepaliveParams(keepalive.ServerParameters{
		MaxConnectionIdle: 50 * time.Millisecond, MaxConnectionAge: 200 * time.Millisecond, MaxConnectionAgeGrace: time.Second,
	})}})
	e := open(t, r.Endpoint())
	for i := range 10 {
		if err := exportTrees(t.Context(), e, handshake(1)); err != nil {
			t.Errorf("call %d: %v", i, err)
		}
		time.Sleep(time.Duration(i) * 15 * time.Millisecond)
	}
	if n := r.Accepted.Load(); n != 10 {
		t.Errorf("%d spans arrived, want 10", n)
	}
}

// If a reverse proxy in front of the receiver refuses the size of a call with HTTP status 413, as nginx does above 1
// MiB, the error asks for smaller calls.
func TestReverseProxyThatRefusesTheSize(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Protocols: &http.Protocols{}, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			http.Error(w, "413 Request Entity Too Large", http.StatusRequestEntityTooLarge)
		})}
	server.Protocols.SetUnencryptedHTTP2(true)
	go server.Serve(l) //nolint:errcheck // ends by Close
	defer server.Close()
	var refused *export.RefusedError
	err = exportTrees(t.Context(), open(t, "http://"+l.Addr().String()), handshake(1))
	if !errors.As(err, &refused) || refused.Action != export.Split {
		t.Errorf("error is %v: %+v, want one that asks for smaller calls", err, refused)
	}
}

const proxyTarget = "CRAU_TEST_PROXY_TARGET"

// HTTPS_PROXY selects a proxy for the receiver, and NO_PROXY excludes receivers from it. A process reads the variables
// once, so each case is a separate process.
func TestProxyVariablesAreObeyed(t *testing.T) {
	if endpoint := os.Getenv(proxyTarget); endpoint != "" {
		s := useNameServer(t)
		s.set([4]byte{127, 0, 0, 1})
		eventually(t, open(t, endpoint))
		return
	}
	r := harness.Receive(t, harness.ReceiverConfig{})
	_, port := splitHostPort(t, r.Address())
	proxy := harness.StartProxy(t, r.Address())
	for _, c := range []struct{ host, noProxy, asked string }{
		{"elsewhere.test", "", "elsewhere.test:" + port},
		{"elsewhere.test", "elsewhere.test", ""},
		{"localhost", "", ""}, // loopback never uses a proxy
	} {
		before := r.Accepted.Load()
		cmd := exec.Command(os.Args[0], "-test.run=^TestProxyVariablesAreObeyed$")
		cmd.Env = append(os.Environ(), proxyTarget+"=http://"+c.host+":"+port, "HTTPS_PROXY="+proxy.URL,
			"NO_PROXY="+c.noProxy)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%+v: %v\n%s", c, err, out)
		}
		if got := proxy.Asked(); got != c.asked || r.Accepted.Load() != before+1 {
			t.Errorf("%+v: the proxy was asked for %q, %d spans arrived", c, got, r.Accepted.Load()-before)
		}
	}
}

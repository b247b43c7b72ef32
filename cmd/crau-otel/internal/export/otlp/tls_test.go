// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/otlp"
	"github.com/crau-otel/crau-otel/test/harness"
)

// authority is a certificate authority.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	a := authority{}
	a.certificate = &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true}
	a.certificate, a.key, a.pem = a.sign(t, a.certificate)
	return a
}

// sign returns a signed certificate and its key; the first that an authority signs is its own.
func (a authority) sign(t *testing.T, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = serial, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	signer := a.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.certificate, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// issue returns a certificate for localhost and its key, in PEM format.
func (a authority) issue(t *testing.T) (certificate, key []byte) {
	t.Helper()
	_, k, certificate := a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "leaf"}, DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// options return what makes a receiver use TLS and ask for certificates of its authority. verify, if any, is called for
// each connection.
func (a authority) options(t *testing.T, verify func(tls.ConnectionState) error) []grpc.ServerOption {
	t.Helper()
	pair, err := tls.X509KeyPair(a.issue(t))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return []grpc.ServerOption{grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		VerifyConnection: verify,
	}))}
}

// certificateFiles are the files that the variables name.
type certificateFiles struct{ authorities, certificate, key string }

func (f certificateFiles) write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// setenv makes exporters use an endpoint and the files.
func (f certificateFiles) setenv(t *testing.T, endpoint string) {
	t.Helper()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", f.authorities)
	t.Setenv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", f.certificate)
	t.Setenv("OTEL_EXPORTER_OTLP_CLIENT_KEY", f.key)
}

// replace writes certificates of an authority, as a tool that renews them does: one file after the other.
func (f certificateFiles) replace(t *testing.T, a authority) {
	t.Helper()
	certificate, key := a.issue(t)
	f.write(t, f.certificate, certificate)
	f.write(t, f.key, key)
	f.write(t, f.authorities, a.pem)
}

// eventually exports until it succeeds.
func eventually(t *testing.T, e *otlp.Exporter) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = exportTrees(t.Context(), e, handshake(1)); err == nil {
			return
		}
	}
	t.Fatalf("still after 20 s: %v", err)
}

// If certificates are renewed on disk while the agent runs, the next connection uses the new ones.
func TestRenewedCertificatesAreUsed(t *testing.T) {
	dir := t.TempDir()
	f := certificateFiles{filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	f.replace(t, first)
	r := harness.Receive(t, harness.ReceiverConfig{Options: first.options(t, nil)})
	_, port := splitHostPort(t, r.Address())
	f.setenv(t, "HTTPS://localhost:"+port)
	e, err := otlp.Open("test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Shutdown(t.Context()) }()
	eventually(t, e)

	// A certificate that was replaced before its key is not usable: the old pair is.
	certificate, _ := first.issue(t)
	f.write(t, f.certificate, certificate)
	r.Close()
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	eventually(t, e)

	f.replace(t, second)
	r.Close()
	moved := harness.Receive(t, harness.ReceiverConfig{Options: second.options(t, nil), Address: r.Address()})
	eventually(t, e)
	if n := moved.Accepted.Load(); n != 1 {
		t.Errorf("%d spans arrived, want 1", n)
	}
}

// certificates notes the serial numbers of the certificates that clients show.
type certificates struct {
	mu      sync.Mutex
	serials []string
}

func (c *certificates) note(state tls.ConnectionState) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serials = append(c.serials, state.PeerCertificates[0].SerialNumber.String())
	return nil
}

// A connection that stays open does not hide that its certificates were replaced: Reconnect makes a new one with them,
// and no call fails because of that.
func TestReconnectUsesNewCertificates(t *testing.T) {
	dir := t.TempDir()
	f := certificateFiles{filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	a := newAuthority(t, "first")
	f.replace(t, a)
	seen := &certificates{}
	r := harness.Receive(t, harness.ReceiverConfig{Options: a.options(t, seen.note)})
	_, port := splitHostPort(t, r.Address())
	f.setenv(t, "https://localhost:"+port)
	e, err := otlp.Open("test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Shutdown(t.Context()) }()
	export := func() {
		t.Helper()
		if err := exportTrees(t.Context(), e, handshake(1)); err != nil {
			t.Error(err)
		}
	}
	export()
	export()
	f.replace(t, a)
	export() // on the open connection
	if files, err := e.Reconnect(); err != nil || len(files) != 3 {
		t.Errorf("reconnected with %q, error %v", files, err)
	}
	export()
	f.write(t, f.key, []byte("half of a"))
	if _, err := e.Reconnect(); err == nil || !strings.HasPrefix(err.Error(), "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: ") {
		t.Errorf("error is %v", err)
	}
	export()
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if len(seen.serials) != 2 || seen.serials[0] == seen.serials[1] {
		t.Errorf("connections were made with the certificates %q, want two different ones", seen.serials)
	}
}

// Without certificate files there is nothing to renew, and connections stay.
func TestReconnectWithoutFiles(t *testing.T) {
	r := harness.Receive(t, harness.ReceiverConfig{})
	e := open(t, r.Endpoint())
	if files, err := e.Reconnect(); files != nil || err != nil {
		t.Errorf("reconnected with %q, error %v", files, err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"crypto/x509"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/otlp"
	"github.com/crau-otel/crau-otel/test/harness"
)

// eventually exports a tree again and again until that succeeds.
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

// openWith returns an exporter that connects to r, under the name localhost, with the certificate files f.
func openWith(t *testing.T, f harness.CertificateFiles, r *harness.TestReceiver) *otlp.Exporter {
	t.Helper()
	for name, value := range f.Environment() {
		t.Setenv(name, value)
	}
	_, port := splitHostPort(t, r.Address())
	return open(t, "HTTPS://localhost:"+port)
}

// If certificates are renewed on disk while the agent runs, the next connection uses the new ones.
func TestRenewedCertificatesAreUsed(t *testing.T) {
	first, second := harness.NewAuthority(t, "first"), harness.NewAuthority(t, "second")
	f := harness.NewCertificateFiles(t, first)
	r := harness.Receive(t, harness.ReceiverConfig{Options: first.Options(t, true, nil)})
	e := openWith(t, f, r)
	eventually(t, e)

	// If only the certificate was replaced, and not yet its key, the previous pair is used.
	certificate, _ := first.Issue(t)
	f.Write(t, f.Certificate, certificate)
	r.Close()
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	eventually(t, e)

	f.Replace(t, second)
	r.Close()
	moved := harness.Receive(t, harness.ReceiverConfig{Options: second.Options(t, true, nil), Address: r.Address()})
	eventually(t, e)
	if n := moved.Accepted.Load(); n != 1 {
		t.Errorf("%d spans arrived, want 1", n)
	}
}

// If the certificate files cannot be used, and connecting with the previous certificates fails, the error gives both
// reasons.
func TestUnusableCertificatesAreNamed(t *testing.T) {
	first, second := harness.NewAuthority(t, "first"), harness.NewAuthority(t, "second")
	f := harness.NewCertificateFiles(t, first)
	r := harness.Receive(t, harness.ReceiverConfig{Options: first.Options(t, true, nil)})
	e := openWith(t, f, r)
	eventually(t, e)

	for _, c := range []struct{ spoil, want string }{
		{f.Authorities, "OTEL_EXPORTER_OTLP_CERTIFICATE: " + f.Authorities + " has no certificate in PEM format"},
		{f.Key, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: cannot be used with OTEL_EXPORTER_OTLP_CLIENT_KEY: "},
		{f.Certificate, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: cannot be used with OTEL_EXPORTER_OTLP_CLIENT_KEY: "},
	} {
		f.Replace(t, first)
		f.Write(t, c.spoil, []byte("garbage"))
		r.Close()
		if err := r.Listen(); err != nil {
			t.Fatal(err)
		}
		eventually(t, e) // with the previous certificates

		r.Close()
		r = harness.Receive(t, harness.ReceiverConfig{Options: second.Options(t, true, nil), Address: r.Address()})
		var err error
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			if err = exportTrees(t.Context(), e, handshake(1)); err != nil && strings.Contains(err.Error(), c.want) {
				break
			}
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "x509: certificate signed by unknown authority") {
			t.Errorf("error is %v, want %s", err, c.want)
		}
		r.Close()
		r = harness.Receive(t, harness.ReceiverConfig{Options: first.Options(t, true, nil), Address: r.Address()})
	}

	f.Replace(t, first)
	eventually(t, e)
}

// If certificates are replaced while a connection stays open, Reconnect makes a new connection with the new
// certificates, and no call fails because of that.
func TestReconnectUsesNewCertificates(t *testing.T) {
	a := harness.NewAuthority(t, "first")
	f := harness.NewCertificateFiles(t, a)
	var mu sync.Mutex
	var serials []string // serial numbers of the client certificates, one for each connection
	r := harness.Receive(t, harness.ReceiverConfig{Options: a.Options(t, true, func(c *x509.Certificate) {
		mu.Lock()
		defer mu.Unlock()
		serials = append(serials, c.SerialNumber.String())
	})})
	e := openWith(t, f, r)
	export := func() {
		t.Helper()
		if err := exportTrees(t.Context(), e, handshake(1)); err != nil {
			t.Error(err)
		}
	}
	export()
	export()
	f.Replace(t, a)
	export() // on the open connection
	if files, err := e.Reconnect(); err != nil || len(files) != 3 {
		t.Errorf("reconnected with %q, error %v", files, err)
	}
	export()
	f.Write(t, f.Key, []byte("half of a"))
	if _, err := e.Reconnect(); err == nil || !strings.HasPrefix(err.Error(), "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: ") {
		t.Errorf("error is %v", err)
	}
	export()
	mu.Lock()
	defer mu.Unlock()
	if len(serials) != 2 || serials[0] == serials[1] {
		t.Errorf("connections were made with the certificates %q, want two different ones", serials)
	}
}

// Without certificate files there is nothing to renew, and connections stay open.
func TestReconnectWithoutFiles(t *testing.T) {
	r := harness.Receive(t, harness.ReceiverConfig{})
	e := open(t, r.Endpoint())
	if files, err := e.Reconnect(); files != nil || err != nil {
		t.Errorf("reconnected with %q, error %v", files, err)
	}
}

// The error of the first call already says what is wrong with the certificates.
func TestTLSErrorsAreClear(t *testing.T) {
	ours, theirs := harness.NewAuthority(t, "ours"), harness.NewAuthority(t, "theirs")
	wrong, foreign, none := harness.NewCertificateFiles(t, ours), harness.NewCertificateFiles(t, theirs), harness.NewCertificateFiles(t, ours)
	wrong.Write(t, wrong.Authorities, theirs.PEM)
	foreign.Write(t, foreign.Authorities, ours.PEM)
	none.Certificate, none.Key = "", ""
	for _, c := range []struct {
		files  harness.CertificateFiles
		mutual bool
		want   string // "" means no error
	}{
		{none, false, ""},
		{harness.NewCertificateFiles(t, ours), true, ""},
		{wrong, true, "x509: certificate signed by unknown authority"},
		// Without files, the exporter trusts only the authorities of the system.
		{harness.CertificateFiles{}, false, "x509: certificate signed by unknown authority"},
		{none, true, "tls: certificate required"},
		{foreign, true, "tls: unknown certificate authority"},
	} {
		r := harness.Receive(t, harness.ReceiverConfig{Options: ours.Options(t, c.mutual, nil)})
		e := openWith(t, c.files, r)
		for range 3 {
			err := exportTrees(t.Context(), e, handshake(1))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, mutual %v: error is %v, want %q", c.files, c.mutual, err, c.want)
			}
		}
	}
}

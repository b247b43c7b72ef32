// SPDX-License-Identifier: Apache-2.0

package harness

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
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// Authority is a certificate authority for tests.
type Authority struct {
	PEM []byte // certificate of the authority

	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority returns a new certificate authority.
func NewAuthority(t testing.TB, name string) Authority {
	t.Helper()
	a := Authority{}
	a.certificate = &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true}
	a.certificate, a.key, a.PEM = a.sign(t, a.certificate)
	return a
}

// sign returns a certificate that the authority signed, with its key. If the authority has no certificate yet, the
// certificate is signed by itself.
func (a Authority) sign(t testing.TB, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, []byte) {
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

// Issue returns a new certificate for localhost and its key, both in PEM format.
func (a Authority) Issue(t testing.TB) (certificate, key []byte) {
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

// Options returns gRPC server options for a receiver that uses TLS. If mutual is set, clients must have a certificate
// of this authority. If verify is not nil, it is called with the client's certificate for each connection.
func (a Authority) Options(t testing.TB, mutual bool, verify func(*x509.Certificate)) []grpc.ServerOption {
	t.Helper()
	pair, err := tls.X509KeyPair(a.Issue(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if mutual {
		cfg.ClientCAs, cfg.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		cfg.ClientCAs.AddCert(a.certificate)
		cfg.VerifyConnection = func(state tls.ConnectionState) error {
			if verify != nil {
				verify(state.PeerCertificates[0])
			}
			return nil
		}
	}
	return []grpc.ServerOption{grpc.Creds(credentials.NewTLS(cfg))}
}

// CertificateFiles are the paths of files that are passed to crau-otel in OTEL_EXPORTER_OTLP_* variables.
type CertificateFiles struct{ Authorities, Certificate, Key string }

// NewCertificateFiles writes new certificates of an authority to files in a temporary folder of the test.
func NewCertificateFiles(t testing.TB, a Authority) CertificateFiles {
	t.Helper()
	dir := t.TempDir()
	f := CertificateFiles{filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	f.Replace(t, a)
	return f
}

// Environment returns the variables that contain the paths, by name.
func (f CertificateFiles) Environment() map[string]string {
	return map[string]string{
		"OTEL_EXPORTER_OTLP_CERTIFICATE":        f.Authorities,
		"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": f.Certificate,
		"OTEL_EXPORTER_OTLP_CLIENT_KEY":         f.Key,
	}
}

// Write replaces the content of the file with the path name by renaming a new file.
func (f CertificateFiles) Write(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// Replace writes a new certificate and key of an authority, one file after the other, like a tool that renews
// certificates.
func (f CertificateFiles) Replace(t testing.TB, a Authority) {
	t.Helper()
	certificate, key := a.Issue(t)
	f.Write(t, f.Certificate, certificate)
	f.Write(t, f.Key, key)
	f.Write(t, f.Authorities, a.PEM)
}

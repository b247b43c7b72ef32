// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
)

// certificateFiles are the variables that name the files for TLS connections. Each of them may be unset.
type certificateFiles struct {
	authorities, certificate, key variable
}

// readFiles reads the variables that name the files, and fails if a file is not usable.
func (s *settings) readFiles(signal string) error {
	s.files = certificateFiles{
		authorities: lookup(signal, "CERTIFICATE"),
		certificate: lookup(signal, "CLIENT_CERTIFICATE"),
		key:         lookup(signal, "CLIENT_KEY"),
	}
	_, err := s.files.load()
	return err
}

// names returns the names of the files whose variables are set.
func (f *certificateFiles) names() (names []string) {
	for _, v := range []variable{f.authorities, f.certificate, f.key} {
		if v.value != "" {
			names = append(names, v.value)
		}
	}
	return names
}

// load reads the files and returns a TLS configuration that uses their current content.
func (f *certificateFiles) load() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if v := f.authorities; v.value != "" {
		pem, err := os.ReadFile(v.value)
		if err != nil {
			return nil, v.errorf("%v", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, v.errorf("%s has no certificate in PEM format", v.value)
		}
	}
	switch {
	case f.certificate.value == "" && f.key.value == "":
		return cfg, nil
	case f.key.value == "":
		return nil, f.certificate.errorf("is set without %s", f.key.name)
	case f.certificate.value == "":
		return nil, f.key.errorf("is set without %s", f.certificate.name)
	}
	pair, err := tls.LoadX509KeyPair(f.certificate.value, f.key.value)
	if err != nil {
		return nil, f.certificate.errorf("cannot be used with %s: %v", f.key.name, err)
	}
	// The certificate is sent even if it is not from an authority that the receiver asks for: an error about a wrong
	// certificate is clearer than an error about a missing certificate.
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return cfg, nil
}

// fileCredentials are transport credentials from files that may be replaced: the files are read again for each new
// connection. If the files cannot be used, for example because a certificate was replaced but not yet its key, the
// previous content is used.
type fileCredentials struct {
	credentials.TransportCredentials // credentials from the files at the start of the agent

	files *certificateFiles
	used  *atomic.Pointer[tls.Config] // configuration from the newest content that could be used
}

func newFileCredentials(files certificateFiles) (credentials.TransportCredentials, error) {
	cfg, err := files.load()
	if err != nil {
		return nil, err
	}
	c := &fileCredentials{TransportCredentials: credentials.NewTLS(cfg), files: &files, used: &atomic.Pointer[tls.Config]{}}
	c.used.Store(cfg)
	return c, nil
}

// ClientHandshake implements [credentials.TransportCredentials].
func (c *fileCredentials) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (
	net.Conn, credentials.AuthInfo, error,
) {
	cfg, unusable := c.files.load()
	if unusable == nil {
		c.used.Store(cfg)
	}
	secured, info, err := credentials.NewTLS(c.used.Load()).ClientHandshake(ctx, authority, conn)
	switch {
	case err != nil && unusable != nil:
		return nil, nil, fmt.Errorf("%w; the previous certificates were used: %w", err, unusable)
	case err != nil:
		return nil, nil, err
	}
	return alertConn{secured}, info, nil
}

// alertConn makes a failed write return the TLS alert with which the receiver ended the connection, if there is one. In
// TLS 1.3, a receiver may reject a client's certificate after the client has started to write.
type alertConn struct{ net.Conn }

// alertPatience is the longest time that a failed write waits for the alert, which arrives before the connection ends.
const alertPatience = 100 * time.Millisecond

// Write implements [net.Conn].
func (c alertConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err == nil {
		return n, nil
	}
	_ = c.SetReadDeadline(time.Now().Add(alertPatience))
	_, reason := c.Read(make([]byte, 1)) // a byte read here is not needed, because the connection has ended
	var alert *net.OpError
	if errors.As(reason, &alert) && alert.Op == "remote error" { // crypto/tls uses this name for alerts
		return n, reason
	}
	return n, err
}

// Clone implements [credentials.TransportCredentials].
func (c *fileCredentials) Clone() credentials.TransportCredentials {
	return &fileCredentials{c.TransportCredentials.Clone(), c.files, c.used}
}

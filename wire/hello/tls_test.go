// SPDX-License-Identifier: Apache-2.0

package hello

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// certificate returns a self-signed certificate.
func certificate(t testing.TB, useRSA bool) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour),
		NotBefore: time.Now().Add(-time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	if useRSA {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// pair returns both ends of a connection over the loopback device.
func pair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// handshake records a handshake of crypto/tls, followed by one message each way.
func handshake(t testing.TB, client, server *tls.Config) []packet {
	t.Helper()
	tp := &tape{}
	a, b := pair(t)
	deadline := time.Now().Add(10 * time.Second)
	for _, c := range []net.Conn{a, b} {
		if err := c.SetDeadline(deadline); err != nil {
			t.Fatal(err)
		}
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		s := tls.Server(&recorded{b, tp, FromServer}, server)
		buf := make([]byte, 16)
		if _, err := s.Read(buf); err == nil {
			_, _ = s.Write([]byte("pong"))
		}
		_ = s.Close()
	}()
	c := tls.Client(&recorded{a, tp, FromClient}, client)
	if _, err := c.Write([]byte("ping")); err == nil {
		_, _ = c.Read(make([]byte, 16))
	}
	_ = a.Close()
	<-served
	return tp.packets
}

func TestGoTLS(t *testing.T) {
	ecdsaCert, rsaCert := certificate(t, false), certificate(t, true)
	server := func(change func(*tls.Config)) *tls.Config {
		c := &tls.Config{Certificates: []tls.Certificate{ecdsaCert}}
		if change != nil {
			change(c)
		}
		return c
	}
	client := func(change func(*tls.Config)) *tls.Config {
		c := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}
		if change != nil {
			change(c)
		}
		return c
	}
	tests := map[string]struct {
		client, server *tls.Config
		state          State
		check          func(t *testing.T, got *TLS)
	}{
		"hybrid": {client(nil), server(nil), StateComplete, func(t *testing.T, got *TLS) {
			if h := got.ServerHello; h.Version != 0x0304 || h.Group != uint16(tls.X25519MLKEM768) || !h.HasGroup || h.PSK {
				t.Errorf("server hello %+v", h)
			}
			h := got.ClientHello
			if !slices.Equal(h.Shares, []uint16{uint16(tls.X25519MLKEM768), uint16(tls.X25519)}) {
				t.Errorf("shares %x", h.Shares)
			}
			if !slices.Contains(h.Groups, uint16(tls.CurveP521)) || h.Versions[0] != 0x0304 || len(h.Suites) < 3 ||
				!slices.Contains(h.Schemes, 0x0403) {
				t.Errorf("client hello %+v", h)
			}
		}},
		"retry": {
			client(nil), server(func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP384} }), StateComplete,
			func(t *testing.T, got *TLS) {
				if got.Retry == nil || got.Retry.Group != uint16(tls.CurveP384) || got.FirstHello == nil ||
					!slices.Contains(got.FirstHello.Shares, uint16(tls.X25519MLKEM768)) ||
					!slices.Equal(got.ClientHello.Shares, []uint16{uint16(tls.CurveP384)}) ||
					got.ServerHello.Group != uint16(tls.CurveP384) {
					t.Errorf("retry %+v, second hello %+v, server hello %+v", got.Retry, got.ClientHello, got.ServerHello)
				}
			},
		},
		"TLS 1.2 ECDHE": {
			client(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), server(nil), StateComplete,
			func(t *testing.T, got *TLS) {
				kx := got.KeyExchange
				if got.ServerHello.Version != 0x0303 || kx == nil || kx.Group != uint16(tls.X25519) || kx.Scheme != 0x0403 ||
					!got.ServerCertificate || got.CertificateAsked || got.Resumed || !got.ServerHello.ExtendedMasterSecret ||
					!got.ClientKeyExchange {
					t.Errorf("%+v, server hello %+v, key exchange %+v", got, got.ServerHello, kx)
				}
			},
		},
		"TLS 1.2 RSA with a client certificate": {
			client(func(c *tls.Config) {
				c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
				c.Certificates = []tls.Certificate{ecdsaCert}
			}),
			server(func(c *tls.Config) {
				c.Certificates = []tls.Certificate{rsaCert}
				c.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
				c.ClientAuth = tls.RequestClientCert
			}), StateComplete,
			func(t *testing.T, got *TLS) {
				if got.KeyExchange != nil || !got.CertificateAsked || !got.ClientCertificate ||
					got.ServerHello.Suite != tls.TLS_RSA_WITH_AES_128_GCM_SHA256 {
					t.Errorf("%+v, server hello %+v", got, got.ServerHello)
				}
			},
		},
		"TLS 1.0": {
			client(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 }),
			server(func(c *tls.Config) { c.MinVersion = tls.VersionTLS10 }), StateComplete,
			func(t *testing.T, got *TLS) {
				if got.ServerHello.Version != 0x0301 || got.KeyExchange == nil || got.KeyExchange.Group == 0 ||
					!slices.Equal(got.ClientHello.Versions, []uint16{0x0301}) {
					t.Errorf("%+v, server hello %+v", got, got.ServerHello)
				}
			},
		},
		"TLS 1.3 client without the certificate that is asked for": {
			client(nil), server(func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert }), StateComplete,
			func(t *testing.T, got *TLS) {
				if got.Alert != nil {
					t.Errorf("alert %+v", got.Alert)
				}
			},
		},
		"no common version": {
			client(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }),
			server(func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }), StateFailed,
			func(t *testing.T, got *TLS) {
				if got.Alert == nil || *got.Alert != (Alert{FromServer, 70, false}) {
					t.Errorf("alert %+v", got.Alert)
				}
			},
		},
		"TLS 1.2 client distrusts the certificate": {
			client(func(c *tls.Config) { c.InsecureSkipVerify, c.MaxVersion = false, tls.VersionTLS12 }), server(nil), StateFailed,
			func(t *testing.T, got *TLS) {
				if got.Alert == nil || *got.Alert != (Alert{FromClient, 42, false}) {
					t.Errorf("alert %+v", got.Alert)
				}
			},
		},
		"TLS 1.3 client distrusts the certificate": {
			client(func(c *tls.Config) { c.InsecureSkipVerify = false }), server(nil), StateFailed,
			func(t *testing.T, got *TLS) {
				if got.Alert == nil || *got.Alert != (Alert{FromClient, 0, true}) {
					t.Errorf("alert %+v", got.Alert)
				}
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			packets := handshake(t, test.client, test.server)
			for how, c := range map[string]*Conn{"packets": play(ProtocolTLS, packets), "bytes": playBytes(ProtocolTLS, packets)} {
				if c.State() != test.state || c.TLS.ClientHello == nil {
					t.Fatalf("%s: state %d, want %d: %+v", how, c.State(), test.state, c.TLS)
				}
				test.check(t, &c.TLS)
			}
		})
	}
}

func TestGoTLSResumption(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			server := &tls.Config{Certificates: []tls.Certificate{certificate(t, false)}}
			pool := x509.NewCertPool()
			leaf, err := x509.ParseCertificate(server.Certificates[0].Certificate[0])
			if err != nil {
				t.Fatal(err)
			}
			pool.AddCert(leaf)
			client := &tls.Config{
				RootCAs: pool, ServerName: "localhost", MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1),
			}
			first := play(ProtocolTLS, handshake(t, client, server))
			second := play(ProtocolTLS, handshake(t, client, server))
			if first.TLS.Resumed || !second.TLS.Resumed {
				t.Errorf("resumed: first %t, second %t", first.TLS.Resumed, second.TLS.Resumed)
			}
			if second.State() != StateComplete || second.TLS.KeyExchange != nil || second.TLS.ServerCertificate {
				t.Errorf("state %d, %+v", second.State(), second.TLS)
			}
		})
	}
}

// A handshake is a resumption if the server selects a key of an earlier session among the keys that the client offers.
func TestSelectedKeyDecidesAboutResumption(t *testing.T) {
	const external, session = "\x00\x02id\x00\x00\x00\x00", "\x00\x06ticket\x01\x02\x03\x04"
	for _, test := range []struct {
		identities, selected string
		resumed, malformed   bool
	}{
		{external, "\x00\x00", false, false},
		{session, "\x00\x00", true, false},
		{external + session, "\x00\x00", false, false},
		{external + session, "\x00\x01", true, false},
		{session + external, "\x00\x01", false, false},
		{session, "\x00\x01", false, false}, // the client offered only one key
		{session, "\xff\xff", false, false},
		{session + external[:5], "\x00\x01", false, false}, // the identity of the second key is cut off
		{"", "\x00\x00", false, false},
		{session, "\x00", false, true},
		{session, "", false, true},
	} {
		list := string([]byte{0, byte(len(test.identities))}) + test.identities
		client := "\x03\x03" + strings.Repeat("r", 32) + "\x00\x00\x02\x13\x01\x01\x00" +
			extensions("\x00\x2b", "\x02\x03\x04", "\x00\x29", list)
		server := "\x03\x03" + strings.Repeat("r", 32) + "\x00\x13\x01\x00" +
			extensions("\x00\x2b", "\x03\x04", "\x00\x29", test.selected)
		c := NewConn(ProtocolTLS)
		c.Add(FromClient, 0, record(messageClientHello, client))
		state := c.Add(FromServer, 0, record(messageServerHello, server))
		if c.TLS.Resumed != test.resumed || (state == StateMalformed) != test.malformed {
			t.Errorf("%q selects %q: resumed %t, state %d", test.identities, test.selected, c.TLS.Resumed, state)
		}
	}
}

// extensions returns the list of extensions at the end of a hello. pairs are the type and the data of each.
func extensions(pairs ...string) string {
	var list string
	for i := 0; i < len(pairs); i += 2 {
		list += pairs[i] + string([]byte{0, byte(len(pairs[i+1]))}) + pairs[i+1]
	}
	return string([]byte{0, byte(len(list))}) + list
}

// record returns a record that contains one message.
func record(typ byte, body string) []byte {
	message := append([]byte{typ, 0, 0, byte(len(body))}, body...)
	return append([]byte{recordHandshake, 3, 3, 0, byte(len(message))}, message...)
}

// A ClientHello of 64 KiB in 200 records is more than is examined, so it is too long.
func TestManyRecords(t *testing.T) {
	c := NewConn(ProtocolTLS)
	message := append([]byte{messageClientHello, 0, 0xff, 0xfc}, make([]byte, 0xfffc)...)
	seq := uint32(0)
	for len(message) > 0 {
		n := min(len(message), 64<<10/200+1)
		record := append([]byte{recordHandshake, 3, 1, byte(n >> 8), byte(n)}, message[:n]...)
		c.Add(FromClient, seq, record)
		seq += uint32(len(record))
		message = message[n:]
	}
	if c.State() != StateTooLong || c.TLS.ClientHello != nil {
		t.Errorf("state %d", c.State())
	}
}

func TestGarbageIsNoHandshake(t *testing.T) {
	for name, data := range map[string]string{
		"after the header":   "\x16\x03\x01\x00\x10garbage garbage!",
		"an empty record":    "\x16\x03\x01\x00\x00",
		"a long record":      "\x16\x03\x01\xff\xff",
		"another protocol":   "GET / HTTP/1.1\r\n\r\n",
		"data at the start":  "\x17\x03\x03\x00\x04data",
		"a server's message": "\x16\x03\x01\x00\x04\x02\x00\x00\x00",
	} {
		c := NewConn(ProtocolTLS)
		if state := c.Add(FromClient, 0, []byte(data)); state != StateMalformed || c.TLS.ClientHello != nil {
			t.Errorf("%s: state %d, %+v", name, state, c.TLS)
		}
	}
}

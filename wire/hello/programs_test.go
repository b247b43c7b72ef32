// SPDX-License-Identifier: Apache-2.0

package hello

import (
	"crypto/x509"
	"encoding/pem"
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "record the programs' connections again; needs openssl, gnutls-cli, ssh and sshd")

// programs are the recorded connections of unmodified programs. When a connection is recorded, PORT, CERT, KEY and DIR
// are replaced in the commands.
var programs = []struct {
	name           string
	server, client []string
	protocol       Protocol
	check          func(t *testing.T, c *Conn)
}{
	{
		"openssl-tls13",
		[]string{"openssl", "s_server", "-accept", "PORT", "-cert", "CERT", "-key", "KEY", "-naccept", "1", "-www"},
		[]string{"openssl", "s_client", "-connect", "127.0.0.1:PORT", "-tls1_3"},
		ProtocolTLS,
		func(t *testing.T, c *Conn) {
			if h := c.TLS.ServerHello; h.Version != 0x0304 || h.Suite != 0x1302 || h.Group != 29 {
				t.Errorf("server hello %+v", h)
			}
			if h := c.TLS.ClientHello; !slices.Equal(h.Groups, []uint16{29, 23, 30, 25, 24, 256, 257, 258, 259, 260}) ||
				!slices.Equal(h.Shares, []uint16{29}) || !slices.Equal(h.Suites, []uint16{0x1302, 0x1303, 0x1301}) {
				t.Errorf("client hello %+v", h)
			}
		},
	},
	{
		"openssl-retry",
		[]string{
			"openssl", "s_server", "-accept", "PORT", "-cert", "CERT", "-key", "KEY", "-naccept", "1", "-www", "-groups", "P-384",
		},
		[]string{"openssl", "s_client", "-connect", "127.0.0.1:PORT"},
		ProtocolTLS,
		func(t *testing.T, c *Conn) {
			if c.TLS.Retry == nil || c.TLS.Retry.Group != 24 || c.TLS.ServerHello.Group != 24 ||
				!slices.Equal(c.TLS.FirstHello.Shares, []uint16{29}) || !slices.Equal(c.TLS.ClientHello.Shares, []uint16{24}) {
				t.Errorf("%+v", c.TLS)
			}
		},
	},
	{
		"openssl-tls12-dhe",
		[]string{
			"openssl", "s_server", "-accept", "PORT", "-cert", "CERT", "-key", "KEY", "-naccept", "1", "-www", "-Verify", "1",
			"-tls1_2", "-cipher", "DHE:@SECLEVEL=1",
		},
		[]string{"openssl", "s_client", "-connect", "127.0.0.1:PORT", "-cert", "CERT", "-key", "KEY"},
		ProtocolTLS,
		func(t *testing.T, c *Conn) {
			if kx := c.TLS.KeyExchange; kx == nil || kx.Group != 0 || kx.PrimeBits < 2048 || kx.Scheme != 0x0804 {
				t.Errorf("key exchange %+v", kx)
			}
			if !c.TLS.CertificateAsked || !c.TLS.ClientCertificate || !c.TLS.ServerCertificate {
				t.Errorf("%+v", c.TLS)
			}
		},
	},
	{
		"openssl-no-cipher",
		[]string{
			"openssl", "s_server", "-accept", "PORT", "-cert", "CERT", "-key", "KEY", "-naccept", "1", "-www", "-tls1_2", "-cipher",
			"ECDHE-RSA-AES256-GCM-SHA384",
		},
		[]string{"openssl", "s_client", "-connect", "127.0.0.1:PORT", "-cipher", "AES128-SHA", "-tls1_2"},
		ProtocolTLS,
		func(t *testing.T, c *Conn) {
			if a := c.TLS.Alert; c.State() != StateFailed || a == nil || *a != (Alert{FromServer, 40, false}) {
				t.Errorf("alert %+v", a)
			}
		},
	},
	{
		"gnutls-tls13",
		[]string{"openssl", "s_server", "-accept", "PORT", "-cert", "CERT", "-key", "KEY", "-naccept", "1", "-www"},
		[]string{"gnutls-cli", "--insecure", "-p", "PORT", "127.0.0.1"},
		ProtocolTLS,
		func(t *testing.T, c *Conn) {
			h := c.TLS.ClientHello
			if c.TLS.ServerHello.Version != 0x0304 || len(h.Shares) != 2 || !slices.Contains(h.Groups, 23) || h.ECH || h.PSKs != nil {
				t.Errorf("client hello %+v, server hello %+v", h, c.TLS.ServerHello)
			}
		},
	},
	{
		"gnutls-tls12",
		[]string{"openssl", "s_server", "-accept", "PORT", "-cert", "CERT", "-key", "KEY", "-naccept", "1", "-www"},
		[]string{"gnutls-cli", "--insecure", "--priority", "NORMAL:-VERS-TLS1.3", "-p", "PORT", "127.0.0.1"},
		ProtocolTLS,
		func(t *testing.T, c *Conn) {
			if kx := c.TLS.KeyExchange; c.TLS.ServerHello.Version != 0x0303 || kx == nil || kx.Group == 0 || kx.Scheme == 0 {
				t.Errorf("server hello %+v, key exchange %+v", c.TLS.ServerHello, kx)
			}
		},
	},
	{
		"openssl-psk-tls13",
		[]string{"openssl", "s_server", "-accept", "PORT", "-nocert", "-psk", "0a0b0c0d", "-naccept", "1", "-www"},
		[]string{"openssl", "s_client", "-connect", "127.0.0.1:PORT", "-psk", "0a0b0c0d", "-tls1_3"},
		ProtocolTLS,
		func(t *testing.T, c *Conn) {
			h := c.TLS.ServerHello
			if h.Version != 0x0304 || !h.PSK || !h.HasGroup || c.TLS.Resumed || !slices.Equal(c.TLS.ClientHello.PSKs, []PSK{{}}) {
				t.Errorf("client hello %+v, server hello %+v, resumed %t", c.TLS.ClientHello, h, c.TLS.Resumed)
			}
		},
	},
	{
		"gnutls-psk-tls13",
		[]string{"openssl", "s_server", "-accept", "PORT", "-nocert", "-psk", "0a0b0c0d", "-naccept", "1", "-www"},
		[]string{
			"gnutls-cli", "--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.3:+PSK:+DHE-PSK:+ECDHE-PSK", "--pskusername", "Client_identity",
			"--pskkey", "0a0b0c0d", "-p", "PORT", "127.0.0.1",
		},
		ProtocolTLS,
		func(t *testing.T, c *Conn) {
			h := c.TLS.ServerHello
			if h.Version != 0x0304 || !h.PSK || c.TLS.Resumed || !slices.Contains(c.TLS.ClientHello.PSKs, PSK{}) {
				t.Errorf("client hello %+v, server hello %+v, resumed %t", c.TLS.ClientHello, h, c.TLS.Resumed)
			}
		},
	},
	{
		"openssl-psk-tls12",
		[]string{
			"openssl", "s_server", "-accept", "PORT", "-nocert", "-psk", "0a0b0c0d", "-naccept", "1", "-www", "-tls1_2", "-cipher",
			"PSK-AES128-GCM-SHA256",
		},
		[]string{
			"openssl", "s_client", "-connect", "127.0.0.1:PORT", "-psk", "0a0b0c0d", "-tls1_2", "-cipher", "PSK-AES128-GCM-SHA256",
		},
		ProtocolTLS,
		func(t *testing.T, c *Conn) {
			if h := c.TLS.ServerHello; h.Version != 0x0303 || h.Suite != 0x00a8 || c.TLS.Resumed || !c.TLS.ClientKeyExchange {
				t.Errorf("server hello %+v: %+v", h, c.TLS)
			}
		},
	},
	{
		"openssh",
		[]string{"/usr/sbin/sshd", "-D", "-h", "DIR/host", "-p", "PORT", "-o", "ListenAddress=127.0.0.1", "-o", "PidFile=none"},
		[]string{
			"ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
			"-p", "PORT", "127.0.0.1", "true",
		},
		ProtocolSSH,
		func(t *testing.T, c *Conn) {
			n := Negotiate(c.SSH.Client, c.SSH.Server)
			want := Negotiated{
				Kex: "sntrup761x25519-sha512", HostKey: "ssh-ed25519",
				CipherC2S: "chacha20-poly1305@openssh.com", CipherS2C: "chacha20-poly1305@openssh.com",
				CompressionC2S: "none", CompressionS2C: "none",
			}
			if n != want || !strings.HasPrefix(c.SSH.ClientIdent, "SSH-2.0-OpenSSH_") ||
				!strings.HasPrefix(c.SSH.ServerIdent, "SSH-2.0-OpenSSH_") {
				t.Errorf("%+v, %q, %q", n, c.SSH.ClientIdent, c.SSH.ServerIdent)
			}
		},
	},
}

func TestPrograms(t *testing.T) {
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			if *update {
				save(t, p.name, strings.Join(p.client, " ")+" | "+strings.Join(p.server, " "), recordPrograms(t, p.server, p.client))
			}
			packets := load(t, p.name)
			for how, c := range map[string]*Conn{"packets": play(p.protocol, packets), "bytes": playBytes(p.protocol, packets)} {
				if want := p.name == "openssl-no-cipher"; c.State() != StateComplete && !want || c.State() != StateFailed && want {
					t.Fatalf("%s: state %d: %+v", how, c.State(), c.TLS)
				}
				p.check(t, c)
			}
		})
	}
}

// recordPrograms runs a server and a client, and returns what a proxy between them recorded.
func recordPrograms(t *testing.T, server, client []string) []packet {
	t.Helper()
	dir := t.TempDir()
	cert := certificate(t, true)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert": {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, "key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, "host")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	command := func(args []string, address string) *exec.Cmd {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		replace := strings.NewReplacer("PORT", port, "CERT", filepath.Join(dir, "cert"), "KEY", filepath.Join(dir, "key"), "DIR", dir)
		var to []string
		for _, arg := range args {
			to = append(to, replace.Replace(arg))
		}
		return exec.Command(to[0], to[1:]...)
	}
	s := command(server, address)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Process.Kill(); _ = s.Wait() }()
	time.Sleep(500 * time.Millisecond)
	to, done := through(t, address)
	c := command(client, to)
	c.Stdin = strings.NewReader("GET / HTTP/1.0\r\n\r\n")
	out, err := c.CombinedOutput()
	t.Logf("%v: %.300s", err, out)
	packets := done()
	const most = 24 // all packets after these are encrypted
	return packets[:min(len(packets), most)]
}

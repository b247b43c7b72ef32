// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

const request = "GET / HTTP/1.0\r\n\r\n"

// speaking returns a command whose standard input is the text input.
func speaking(input, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	return cmd
}

const (
	x25519and256 = "[x25519 secp256r1] classical"
	in13         = "1.3 TLS_AES_256_GCM_SHA384 x25519 " + x25519and256
	in12         = "1.2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 x25519 " + x25519and256 + " ecdsa_secp256r1_sha256"
)

// couples are stock programs. They set their groups explicitly, because a program's default groups change with its
// version.
var couples = []couple{
	{
		name: "openssl",
		server: func(s *stage, port string) *exec.Cmd {
			return exec.Command(find(s.t, "openssl"), "s_server", "-accept", "127.0.0.1:"+port, "-cert", s.cert, "-key", s.key, "-www")
		},
		client: func(s *stage, port string) *exec.Cmd {
			return speaking(request, find(s.t, "openssl"), "s_client", "-connect", "127.0.0.1:"+port, "-groups", "X25519:P-256")
		},
		handshake: in13,
	},
	{
		name: "openssl with ML-KEM",
		server: func(s *stage, port string) *exec.Cmd {
			return s.inSid("openssl", "s_server", "-accept", "127.0.0.1:"+port, "-cert", "/mnt/cert", "-key", "/mnt/key", "-www")
		},
		client: func(s *stage, port string) *exec.Cmd {
			cmd := s.inSid("openssl", "s_client", "-connect", "127.0.0.1:"+port, "-groups", "X25519MLKEM768:X25519")
			cmd.Stdin = strings.NewReader(request)
			return cmd
		},
		handshake: "1.3 TLS_AES_256_GCM_SHA384 X25519MLKEM768 [X25519MLKEM768 x25519] hybrid",
	},
	{
		name: "nginx and curl", server: nginx, prints: true,
		client: func(s *stage, port string) *exec.Cmd {
			url := "https://127.0.0.1:" + port
			return exec.Command(find(s.t, "curl"), "-sk", "--curves", "X25519:P-256", url, url) // reuses the connection
		},
		handshake: in13,
	},
	{
		name: "nginx and curl with TLS 1.2", server: nginx, prints: true,
		client: func(s *stage, port string) *exec.Cmd {
			return exec.Command(find(s.t, "curl"), "-sk", "--curves", "X25519:P-256", "--tls-max", "1.2", "--ciphers",
				"ECDHE-ECDSA-AES128-GCM-SHA256", "https://127.0.0.1:"+port)
		},
		handshake: in12,
	},
	{
		name: "Python",
		server: func(s *stage, port string) *exec.Cmd {
			return exec.Command(find(s.t, "python3"), "-c", `
import http.server, ssl, sys
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()`, port, s.cert, s.key)
		},
		client: func(s *stage, port string) *exec.Cmd {
			return exec.Command(find(s.t, "python3"), "-c", `
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[2])
context.set_ecdh_curve("prime256v1")
urllib.request.urlopen("https://localhost:" + sys.argv[1], context=context).read()`, port, s.cert)
		},
		handshake: "1.3 TLS_AES_256_GCM_SHA384 secp256r1 [secp256r1] classical",
	},
	{
		name: "Node.js",
		server: func(s *stage, port string) *exec.Cmd {
			return exec.Command(find(s.t, "node"), "-e", `
const fs = require("fs"), [port, cert, key] = process.argv.slice(1)
require("https").createServer({cert: fs.readFileSync(cert), key: fs.readFileSync(key)}, (q, a) => a.end("hi")).listen(port, "127.0.0.1")`,
				port, s.cert, s.key)
		},
		client: func(s *stage, port string) *exec.Cmd {
			return exec.Command(find(s.t, "node"), "-e", `
require("https").get({port: process.argv[1], host: "127.0.0.1", rejectUnauthorized: false, ecdhCurve: "X25519:P-256", agent: false},
	a => a.resume())`, port)
		},
		handshake: in13,
	},
	{
		name: "Java",
		server: func(s *stage, port string) *exec.Cmd {
			return exec.Command(find(s.t, "java"), "-Xshare:auto", "-XX:TieredStopAtLevel=1", "testdata/Peer.java", "serve", port, s.pkcs12)
		},
		client: func(s *stage, port string) *exec.Cmd {
			return exec.Command(find(s.t, "java"), "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-Djdk.tls.namedGroups=x25519,secp256r1",
				"testdata/Peer.java", "get", port, s.pkcs12)
		},
		handshake: in13,
	},
	{
		name:   "Go",
		server: func(_ *stage, port string) *exec.Cmd { return peer("https", port) },
		client: func(_ *stage, port string) *exec.Cmd {
			return peer("get", port, "X25519MLKEM768", "X25519", "CurveP256")
		},
		handshake: "1.3 TLS_AES_128_GCM_SHA256 X25519MLKEM768 [X25519MLKEM768 x25519 secp256r1] hybrid",
	},
	{
		name:   "Chromium", // its network code runs in the browser process, not in a child
		server: func(_ *stage, port string) *exec.Cmd { return peer("https", port) },
		client: func(s *stage, port string) *exec.Cmd {
			return exec.Command(find(s.t, "chromium-headless-shell"), "--no-sandbox", "--enable-features=NetworkServiceInProcess2",
				"--ignore-certificate-errors", "--user-data-dir="+filepath.Join(s.dir, "chromium"), "--dump-dom", "https://127.0.0.1:"+port)
		},
		handshake: "1.3 TLS_AES_128_GCM_SHA256 X25519MLKEM768 [X25519MLKEM768 x25519 secp256r1 secp384r1] hybrid",
	},
	{
		name: "GnuTLS",
		server: func(s *stage, port string) *exec.Cmd {
			return exec.Command(find(s.t, "gnutls-serv"), "--port", port, "--x509certfile", s.cert, "--x509keyfile", s.key, "--http")
		},
		client: func(s *stage, port string) *exec.Cmd {
			return speaking(request, find(s.t, "gnutls-cli"), "--insecure", "--priority",
				"NORMAL:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1", "--port", port, "127.0.0.1")
		},
		handshake: in13,
	},
	{
		name: "NSS",
		server: func(s *stage, port string) *exec.Cmd {
			db := s.nss("server")
			s.run(find(s.t, "pk12util"), "-d", db, "-i", s.pkcs12, "-W", "secret", "-K", "")
			return exec.Command(find(s.t, "selfserv"), "-d", db, "-p", port, "-e", "peer", "-V", "tls1.2:tls1.3")
		},
		client: func(s *stage, port string) *exec.Cmd {
			return exec.Command(find(s.t, "tstclnt"), "-d", s.nss("client"), "-h", "127.0.0.1", "-p", port, "-o", "-A",
				s.write("request", request), "-I", "x25519,P256", "-V", "tls1.2:tls1.3")
		},
		handshake: "1.3 TLS_AES_128_GCM_SHA256 x25519 " + x25519and256,
	},
	{
		name: "PostgreSQL", server: postgres, prints: true,
		client: func(s *stage, port string) *exec.Cmd {
			cmd := exec.Command(find(s.t, "psql"), "-qtA", "-c", "select pg_backend_pid()",
				"host=127.0.0.1 user=postgres dbname=postgres sslmode=require port="+port)
			cmd.Env = append(os.Environ(), "OPENSSL_CONF="+s.write("openssl.cnf", "openssl_conf = a\n[a]\nssl_conf = b\n[b]\n"+
				"system_default = c\n[c]\nGroups = X25519:P-256\n"))
			return cmd
		},
		handshake: "1.3 TLS_AES_256_GCM_SHA384 secp256r1 [x25519 secp256r1] classical hello_retry_request",
	},
	{
		name:   "SMTP with STARTTLS",
		server: func(_ *stage, port string) *exec.Cmd { return peer("smtp", port) },
		client: func(s *stage, port string) *exec.Cmd {
			return speaking("QUIT\r\n", find(s.t, "openssl"), "s_client", "-starttls", "smtp", "-connect", "127.0.0.1:"+port, "-groups",
				"X25519:P-256", "-ciphersuites", "TLS_AES_128_GCM_SHA256")
		},
		handshake: "1.3 TLS_AES_128_GCM_SHA256 x25519 " + x25519and256,
	},
	{
		name: "OpenSSH", server: sshd, prints: true,
		client: func(s *stage, port string) *exec.Cmd {
			return exec.Command(find(s.t, "ssh"), "-F", "none", "-i", filepath.Join(s.dir, "user"), "-o", "BatchMode=yes", "-o",
				"StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "KexAlgorithms=sntrup761x25519-sha512@openssh.com",
				"-o", "Ciphers=aes128-ctr", "-o", "MACs=hmac-sha2-256", "-p", port, "root@127.0.0.1", "echo $PPID")
		},
		handshake: "sntrup761x25519-sha512@openssh.com ssh-ed25519 aes128-ctr hmac-sha2-256 hybrid",
	},
}

// inSid returns a command that runs in a minimal Debian sid, which has a newer OpenSSL. The stage's folder is mounted
// at /mnt.
func (s *stage) inSid(args ...string) *exec.Cmd {
	s.t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		s.t.Fatal(err)
	}
	sid := filepath.Join(cache, "crau-otel/chroots/sid") // folder that make test-packages also uses
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "../packages/chroot.sh", "sid", sid)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	script := `mount --bind "$1" "$2/mnt" && shift && exec chroot "$@"`
	return exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, "sh", s.dir, sid}, args...)...)
}

func nginx(s *stage, port string) *exec.Cmd {
	config := s.write("nginx-"+port, fmt.Sprintf(`daemon off; worker_processes 2; pid %[1]s/nginx-%[2]s.pid; error_log stderr;
events {}
http {
	access_log off;
	ssl_certificate %[3]s; ssl_certificate_key %[4]s; ssl_ecdh_curve X25519:prime256v1; ssl_protocols TLSv1.2 TLSv1.3;
	server { listen 127.0.0.1:%[2]s ssl; location / { return 200 "$pid\n"; } }
}
`, s.dir, port, s.cert, s.key))
	return exec.Command(find(s.t, "nginx"), "-c", config, "-p", s.dir)
}

// postgres creates a database and returns a command that serves it. The server's only group is secp256r1, so a client
// whose first key share is for another group has to retry.
func postgres(s *stage, port string) *exec.Cmd {
	s.t.Helper()
	initdb := find(s.t, "initdb")
	owner, err := user.Lookup("postgres")
	if err != nil {
		s.t.Fatal(err)
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	as := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	key, err := os.ReadFile(s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	data, own := filepath.Join(s.dir, "data"), filepath.Join(s.dir, "postgres.key")
	if err := os.WriteFile(own, key, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		s.t.Fatal(err)
	}
	for _, path := range []string{own, data} {
		if err := os.Chown(path, uid, gid); err != nil {
			s.t.Fatal(err)
		}
	}
	cmd := exec.Command(initdb, "-D", data, "-A", "trust", "--no-sync", "--no-locale")
	cmd.SysProcAttr, cmd.Dir = as, "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("initdb: %v\n%s", err, out)
	}
	args := []string{"-D", data}
	for _, setting := range []string{
		"port=" + port, "listen_addresses=127.0.0.1", "unix_socket_directories=", "ssl=on", "ssl_cert_file=" + s.cert,
		"ssl_key_file=" + own, "ssl_ecdh_curve=prime256v1", "fsync=off", "shared_buffers=16MB",
	} {
		args = append(args, "-c", setting)
	}
	cmd = exec.Command(filepath.Join(filepath.Dir(initdb), "postgres"), args...)
	cmd.SysProcAttr, cmd.Dir = as, "/"
	return cmd
}

func sshd(s *stage, port string) *exec.Cmd {
	s.t.Helper()
	for _, key := range []string{"host", "user"} {
		s.run(find(s.t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(s.dir, key))
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		s.t.Fatal(err)
	}
	return exec.Command(find(s.t, "sshd"), "-D", "-e", "-f", "/dev/null", "-h", filepath.Join(s.dir, "host"), "-p", port, "-o",
		"ListenAddress=127.0.0.1", "-o", "PidFile=none", "-o", "PermitRootLogin=yes", "-o", "StrictModes=no", "-o",
		"AuthorizedKeysFile="+filepath.Join(s.dir, "user.pub"))
}

// nss creates an empty NSS database and returns its folder.
func (s *stage) nss(name string) string {
	s.t.Helper()
	dir := filepath.Join(s.dir, "nss-"+name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.run(find(s.t, "certutil"), "-N", "-d", dir, "--empty-password")
	return dir
}

// Handshakes of stock programs, whose servers start before the agent, are reported exactly once per side, under the
// process that made them.
func TestWireShowsStockPrograms(t *testing.T) {
	harness.RequireBPF(t)
	newStage(t).perform(couples)
}

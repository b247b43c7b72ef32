// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/needs"

	"golang.org/x/crypto/ssh"

	"github.com/crau-otel/crau-otel/mapping/registry"
)

// The tests in this file compare the registry with other sources: with IANA's files for every codepoint, and with the
// lists of Go, OpenSSH, GnuTLS and OpenSSL.

// The codepoints that have a name although they are not in IANA's files.
var (
	unlistedSuites  = []uint64{0x0066}
	unlistedSchemes = []uint64{
		0x0101, 0x0102, 0x0103, 0x0202, 0x0301, 0x0302, 0x0303, 0x0402, 0x0502, 0x0602, 0x0840, 0x0841,
	}
)

// Every 16-bit codepoint either has the name and status of IANA's file, or is one of the few unlisted codepoints, or is
// unknown.
func TestEveryCodePointIsIANAs(t *testing.T) {
	t.Parallel()
	type entry struct{ name, status string }
	for _, c := range []struct {
		file     string
		rows     int
		unlisted []uint64
		find     func(id uint64) entry
	}{
		{"tls_groups.csv", 57, nil, func(id uint64) entry {
			g := registry.TLSGroup(id)
			return entry{g.Name, g.Status.String()}
		}},
		{"tls_signature_schemes.csv", 49, unlistedSchemes, func(id uint64) entry {
			s := registry.TLSSignatureScheme(id)
			return entry{s.Name, s.Status.String()}
		}},
		{"tls_ciphersuites.csv", 356, unlistedSuites, func(id uint64) entry {
			return entry{name: registry.TLSCipherSuite(id).Name}
		}},
	} {
		listed := make(map[uint64]entry)
		for _, row := range rows(t, c.file, c.rows) {
			e := entry{name: row[1]}
			if len(row) > 2 {
				e.status = row[2]
			}
			id := codepoint(t, row[0])
			if _, again := listed[id]; again {
				t.Errorf("%s has %#x twice", c.file, id)
			}
			listed[id] = e
		}
		for id := range uint64(1 << 16) {
			got, want := c.find(id), listed[id]
			switch {
			case want != entry{}:
			case slices.Contains(c.unlisted, id):
				if strings.HasPrefix(got.name, "unknown") {
					t.Errorf("%s: %#x is not known", c.file, id)
				}
				continue
			default:
				want.name = fmt.Sprintf("unknown (0x%04x)", id)
				if got.status != "" {
					want.status = "unknown"
				}
			}
			if got != want {
				t.Errorf("%s: %#x is %v, want %v", c.file, id, got, want)
			}
		}
	}
}

// byName returns the status that an algorithm's name implies. It does not use package registry.
func byName(name string) registry.Status {
	name = strings.ToLower(name)
	postQuantum := regexp.MustCompile("ml-?kem|ml-?dsa|slh-?dsa|sntrup").MatchString(name)
	classical := regexp.MustCompile("25519|448|nistp|secp|p256|p384|p521|rsa|ecdsa|diffie|pkcs1|pss|dss").MatchString(name)
	switch {
	case postQuantum && classical:
		return registry.Hybrid
	case postQuantum:
		return registry.PostQuantum
	}
	return registry.Classical
}

func TestGoHasTheSameTLS(t *testing.T) {
	t.Parallel()
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		got := registry.TLSCipherSuite(uint64(s.ID))
		if got.Name != s.Name {
			t.Errorf("cipher suite %#x is %s, Go says %s", s.ID, got.Name, s.Name)
		}
		if !s.Insecure && got.Weak != nil {
			t.Errorf("%s is weak by %v, Go thinks otherwise", got.Name, got.Weak)
		}
	}
	groups := map[string]string{"CurveP256": "secp256r1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "x25519"}
	schemes := strings.NewReplacer("PKCS1With", "rsa_pkcs1_", "PSSWith", "rsa_pss_rsae_", "ECDSAWithP256And", "ecdsa_secp256r1_",
		"ECDSAWithP384And", "ecdsa_secp384r1_", "ECDSAWithP521And", "ecdsa_secp521r1_", "ECDSAWith", "ecdsa_",
		"SHA", "sha", "Ed", "ed", "MLDSA", "mldsa")
	found := 0
	for id := range 1 << 16 {
		if name := tls.CurveID(id).String(); !strings.HasPrefix(name, "CurveID(") {
			found++
			if got := registry.TLSGroup(uint64(id)); got.Name != cmp.Or(groups[name], name) || got.Status != byName(got.Name) {
				t.Errorf("group %#x is %s, %s; Go says %s", id, got.Name, got.Status, name)
			}
		}
		if name := tls.SignatureScheme(id).String(); !strings.HasPrefix(name, "SignatureScheme(") {
			found++
			got := registry.TLSSignatureScheme(uint64(id))
			if got.Name != schemes.Replace(name) || got.Status != byName(name) || strings.HasSuffix(name, "SHA1") != (got.Weak != nil) {
				t.Errorf("signature scheme %#x is %s, %s, weak by %v; Go says %s", id, got.Name, got.Status, got.Weak, name)
			}
		}
		if name := tls.VersionName(uint16(id)); !strings.HasPrefix(name, "0x") {
			found++
			got := registry.TLSVersion(uint64(id))
			if strings.ToUpper(got.Protocol)+" "+got.Name != strings.Replace(name, "SSLv3", "SSL 3", 1) {
				t.Errorf("version %#x is %s %s, Go says %s", id, got.Protocol, got.Name, name)
			}
		}
	}
	if found < 7+12+5 {
		t.Errorf("Go has only %d names", found)
	}
	// Names of the alerts for which Go's error text differs from the name in the RFCs.
	texts := map[string]string{
		"bad_record_MAC": "bad_record_mac", "revoked_certificate": "certificate_revoked", "expired_certificate": "certificate_expired",
		"unknown_certificate": "certificate_unknown", "unknown_certificate_authority": "unknown_ca",
		"error_decoding_message": "decode_error", "error_decrypting_message": "decrypt_error",
		"protocol_version_not_supported": "protocol_version", "insufficient_security_level": "insufficient_security",
		"unknown_PSK_identity": "unknown_psk_identity", "encrypted_client_hello_required": "ech_required",
	}
	for id := range 256 {
		text := tls.AlertError(id).Error()
		if strings.Contains(text, "alert(") {
			continue
		}
		name := strings.ReplaceAll(strings.TrimPrefix(text, "tls: "), " ", "_")
		if got := registry.TLSAlert(uint64(id)); got != cmp.Or(texts[name], name) {
			t.Errorf("alert %d is %s, Go says %s", id, got, text)
		}
	}
}

func TestGoHasTheSameSSH(t *testing.T) {
	t.Parallel()
	good, bad := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	for _, name := range slices.Concat(good.KeyExchanges, bad.KeyExchanges) {
		status, weak := registry.SSHKeyExchange(name)
		if registry.SSHKeyExchangeName(name) != name || status != byName(name) {
			t.Errorf("key exchange %s is %s, %s", registry.SSHKeyExchangeName(name), name, status)
		}
		if insecure := slices.Contains(bad.KeyExchanges, name); insecure != (weak != nil) {
			t.Errorf("key exchange %s is weak by %v, insecure in Go: %v", name, weak, insecure)
		}
	}
	for _, name := range slices.Concat(good.HostKeys, good.PublicKeyAuths, bad.HostKeys, bad.PublicKeyAuths) {
		status, weak := registry.SSHKeyAlgorithm(name, 0)
		if registry.SSHKeyAlgorithmName(name) != name || status != byName(name) {
			t.Errorf("key algorithm %s is %s, %s", registry.SSHKeyAlgorithmName(name), name, status)
		}
		if insecure := slices.Contains(bad.HostKeys, name); insecure != (weak != nil) {
			t.Errorf("key algorithm %s is weak by %v, insecure in Go: %v", name, weak, insecure)
		}
	}
	for _, name := range slices.Concat(good.Ciphers, bad.Ciphers) {
		if weak := registry.SSHCipher(name); slices.Contains(bad.Ciphers, name) != (weak != nil) {
			t.Errorf("cipher %s is weak by %v, Go thinks otherwise", name, weak)
		}
	}
	for _, name := range slices.Concat(good.MACs, bad.MACs) {
		weak := registry.SSHMAC(name)
		// Go treats hmac-sha1 as secure, because RFC 9142 does not cover MACs. BSI TR-02102-4 covers them.
		if (slices.Contains(bad.MACs, name) || name == "hmac-sha1") != (weak != nil) {
			t.Errorf("MAC %s is weak by %v, Go thinks otherwise", name, weak)
		}
	}
}

// output runs a program that .ci/run installs.
func output(t *testing.T, program string, args ...string) string {
	t.Helper()
	needs.Program(t, program)
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		t.Fatalf("%s %v: %v", program, args, err)
	}
	return string(out)
}

// OpenSSH offers by default exactly those of its algorithms that have no weak reason. The exceptions are hmac-sha1,
// which is weak and still offered, and webauthn-sk-ecdsa-sha2-nistp256, which is not weak and not offered.
func TestOpenSSHOffersWhatIsNotWeak(t *testing.T) {
	t.Parallel()
	offered := make(map[string]bool)
	settings := regexp.MustCompile(`(?mi)^(?:ciphers|macs|kexalgorithms|hostkeyalgorithms|pubkeyacceptedalgorithms) (\S+)$`)
	for _, m := range settings.FindAllStringSubmatch(output(t, "ssh", "-G", "-F", "none", "localhost"), -1) {
		for name := range strings.SplitSeq(m[1], ",") {
			offered[name] = true
		}
	}
	exceptions := []string{"hmac-sha1", "hmac-sha1-etm@openssh.com", "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"}
	for kind, judge := range map[string]func(name string) (registry.Status, []string){
		"kex":     registry.SSHKeyExchange,
		"key-sig": func(name string) (registry.Status, []string) { return registry.SSHKeyAlgorithm(name, 0) },
		"cipher":  func(name string) (registry.Status, []string) { return registry.NotApplicable, registry.SSHCipher(name) },
		"mac":     func(name string) (registry.Status, []string) { return registry.NotApplicable, registry.SSHMAC(name) },
	} {
		names := strings.Fields(output(t, "ssh", "-Q", kind))
		for _, name := range names {
			status, weak := judge(name)
			if offered[name] != (weak == nil) && !slices.Contains(exceptions, name) {
				t.Errorf("%s %s is weak by %v, offered by OpenSSH: %v", kind, name, weak, offered[name])
			}
			if status != registry.NotApplicable && status != byName(name) {
				t.Errorf("%s %s is %s", kind, name, status)
			}
		}
		if len(names) < 8 {
			t.Errorf("OpenSSH has only %q of kind %s", names, kind)
		}
	}
}

// parseBytes returns the codepoint with two bytes given in hexadecimal.
func parseBytes(t *testing.T, high, low string) uint64 {
	t.Helper()
	h, err := strconv.ParseUint(high, 16, 8)
	if err != nil {
		t.Fatal(err)
	}
	l, err := strconv.ParseUint(low, 16, 8)
	if err != nil {
		t.Fatal(err)
	}
	return h<<8 | l
}

func TestOpenSSLHasTheSameSuites(t *testing.T) {
	t.Parallel()
	suite := regexp.MustCompile(`0x(..),0x(..) - (TLS_\S+|SSL_\S+|\S+) +- \S+ .* Au=(\S+) +Enc=(\S+)`)
	all := suite.FindAllStringSubmatch(output(t, "openssl", "ciphers", "-V", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"), -1)
	for _, m := range all {
		got := registry.TLSCipherSuite(parseBytes(t, m[1], m[2]))
		if got.Name != m[3] {
			t.Errorf("cipher suite 0x%s%s is %s, OpenSSL says %s", m[1], m[2], got.Name, m[3])
		}
		for reason, is := range map[string]bool{
			"64_bit_blocks": strings.HasPrefix(m[5], "IDEA") || strings.HasPrefix(m[5], "RC2"), "null_cipher": m[5] == "None", "anonymous": m[4] == "None" && !strings.Contains(m[3], "_SRP_"),
		} {
			if is != slices.Contains(got.Weak, reason) {
				t.Errorf("%s is weak by %v, OpenSSL says authentication %s, encryption %s", got.Name, got.Weak, m[4], m[5])
			}
		}
	}
	if len(all) < 50 {
		t.Errorf("OpenSSL has only %d cipher suites", len(all))
	}
}

// ianaWords replaces words in GnuTLS's names of cipher suites by those of IANA.
var ianaWords = strings.NewReplacer("ARCFOUR", "RC4", "DH_ANON", "DH_anon", "TLS_PSK_DHE_", "TLS_DHE_PSK_")

// TestGnuTLSHasTheSame compares the registry with the output of `gnutls-cli --list`: cipher suites by codepoint;
// groups, signature schemes and public key algorithms by name.
func TestGnuTLSHasTheSame(t *testing.T) {
	t.Parallel()
	list := output(t, "gnutls-cli", "--list")
	suites := regexp.MustCompile(`(?m)^(TLS_\S+)\s+0x(..), 0x(..)`).FindAllStringSubmatch(list, -1)
	for _, m := range suites {
		// Two differences are ignored: GnuTLS's names lack WITH, and lack the hash of AEAD ciphers that have only one hash.
		plain := func(name string) string {
			name = strings.ReplaceAll(ianaWords.Replace(name), "SHA1", "SHA")
			return strings.TrimSuffix(strings.ReplaceAll(name, "_WITH", ""), "POLY1305_SHA256")
		}
		got := registry.TLSCipherSuite(parseBytes(t, m[2], m[3]))
		want := strings.TrimSuffix(plain(m[1]), "POLY1305")
		if plain(got.Name) != want {
			t.Errorf("cipher suite 0x%s%s is %s, GnuTLS says %s", m[2], m[3], got.Name, m[1])
		}
	}
	if len(suites) < 100 {
		t.Errorf("GnuTLS has only %d cipher suites", len(suites))
	}
	names := func(title string) []string {
		_, after, ok := strings.Cut(list, "\n"+title+": ")
		line, _, _ := strings.Cut(after, "\n")
		if !ok {
			t.Errorf("gnutls-cli --list has no %s", title)
		}
		return strings.Split(line, ", ")
	}
	known := func(file string, n int) (known []string) {
		for _, row := range rows(t, file, n) {
			known = append(known, strings.ToLower(row[1]))
		}
		return known
	}
	groups := known("tls_groups.csv", 57)
	for _, name := range names("Groups") {
		plain := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "GROUP-"), "-", ""))
		if !slices.ContainsFunc(groups, func(known string) bool { return strings.HasPrefix(known, plain) }) { // also drafts
			t.Errorf("group %s of GnuTLS is not in the table", name)
		}
	}
	found := 0
	schemes := known("tls_signature_schemes.csv", 49)
	for _, name := range names("PK-signatures") {
		scheme := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "SIGN-"), "-", "_"))
		for _, r := range []struct{ gnutls, iana string }{
			{"rsa_sha", "rsa_pkcs1_sha"},
			{"rsa_pss_sha", "rsa_pss_pss_sha"},
			{"eddsa_ed", "ed"},
			{"gost_r", "gostr"},
			{"ecdsa_sha256", "ecdsa_secp256r1_sha256"},
			{"ecdsa_sha384", "ecdsa_secp384r1_sha384"},
			{"ecdsa_sha512", "ecdsa_secp521r1_sha512"},
		} {
			if strings.HasPrefix(scheme, r.gnutls) {
				scheme = r.iana + strings.TrimPrefix(scheme, r.gnutls)
			}
		}
		if slices.Contains(schemes, scheme) {
			found++
		}
		// Schemes that are only used in certificates have no codepoint, but PublicKey must judge them.
		status, weak := registry.PublicKey("pk::sign", name, "", "", "", 0)
		broken := strings.HasSuffix(name, "-SHA1") || strings.HasSuffix(name, "-MD5")
		if status != byName(name) || broken != (weak != nil) {
			t.Errorf("signature scheme %s of GnuTLS is %s, weak by %v", name, status, weak)
		}
	}
	if found < 14 {
		t.Errorf("only %d signature schemes of GnuTLS have a code point", found)
	}
	for _, name := range names("Public Key Systems") {
		if got := registry.PublicKeyName(name); got == registry.OtherName || got == registry.UnknownName {
			t.Errorf("public key algorithm %s of GnuTLS is not listed", name)
		}
		if status, _ := registry.PublicKey("pk::sign", name, "", "", "", 0); status != byName(name) {
			t.Errorf("public key algorithm %s of GnuTLS is %s", name, status)
		}
	}
}

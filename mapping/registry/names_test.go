// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/mapping/registry"
)

func TestNamesHaveOneSpelling(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   func(string) string
		of     string
		wanted string
	}{
		{registry.PublicKeyName, "", ""},
		{registry.PublicKeyName, "RSA", "RSA"},
		{registry.PublicKeyName, "rsaEncryption", "RSA"},
		{registry.PublicKeyName, "rsa2048", "RSA"},
		{registry.PublicKeyName, "RSASSA-PSS", "RSA-PSS"},
		{registry.PublicKeyName, "EC/ECDSA", "EC"},
		{registry.PublicKeyName, "id-ecPublicKey", "EC"},
		{registry.PublicKeyName, "ECDH (X25519)", "X25519"},
		{registry.PublicKeyName, "ED25519", "Ed25519"},
		{registry.PublicKeyName, "EdDSA (Ed25519)", "Ed25519"},
		{registry.PublicKeyName, "ml-kem-768", "ML-KEM-768"},
		{registry.PublicKeyName, "MLKEM768", "ML-KEM-768"},
		{registry.PublicKeyName, "id-alg-ml-kem-768", "ML-KEM-768"},
		{registry.PublicKeyName, "X25519MLKEM768", "X25519MLKEM768"},
		{registry.PublicKeyName, "id-slh-dsa-shake-256f", "SLH-DSA-SHAKE-256f"},
		{registry.PublicKeyName, "rsa3072_dilithium2", "other"},
		{registry.PublicKeyName, "made-up", "unknown"},
		{registry.PublicKeyName, "RSA-1234567", "other"},
		{registry.PublicKeyName, strings.Repeat("x", 4096), "unknown"},
		{registry.PublicKeyName, "\x00\xff", "unknown"},
		{registry.SSHKeyExchangeName, "", ""},
		{registry.SSHKeyExchangeName, "mlkem768x25519-sha256", "mlkem768x25519-sha256"},
		{registry.SSHKeyExchangeName, "mlkem768x25519-sha256@example.com", "other"},
		{registry.SSHKeyExchangeName, "gss-group14-sha256-toWM5Slw5Ew8Mqkay+al2g==", "gss-group14-sha256"},
		{registry.SSHKeyExchangeName, "kex-strict-s-v00@openssh.com", "unknown"},
		{registry.SSHKeyAlgorithmName, "", ""},
		{registry.SSHKeyAlgorithmName, "ssh-ed25519", "ssh-ed25519"},
		{registry.SSHKeyAlgorithmName, "ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519-cert-v01@openssh.com"},
		{registry.SSHKeyAlgorithmName, "ssh-rsa@example.com", "other"},
		{registry.SSHKeyAlgorithmName, "null", "unknown"},
	} {
		if got := c.name(c.of); got != c.wanted {
			t.Errorf("%.40q is %q, want %q", c.of, got, c.wanted)
		}
	}
	if got := registry.TLSGroupName(0x11ec); got != "X25519MLKEM768" {
		t.Errorf("group 0x11ec is %s", got)
	}
	if got := registry.TLSGroupName(0x7777); got != "unknown" {
		t.Errorf("group 0x7777 is %s", got)
	}
	if got := registry.TLSSignatureSchemeName(0x0403); got != "ecdsa_secp256r1_sha256" {
		t.Errorf("scheme 0x0403 is %s", got)
	}
	if got := registry.TLSSignatureSchemeName(1 << 40); got != "unknown" {
		t.Errorf("scheme 2^40 is %s", got)
	}
}

// Invented names do not become new names: they become OtherName or UnknownName, or the name of a known family.
func TestMadeUpNamesAreFew(t *testing.T) {
	t.Parallel()
	names := make(map[string]bool)
	for i := range 3000 {
		for _, format := range []string{"made-up-%d", "RSA-x%d", "ML-KEM-%d9999", "%d", "ssh-rsa-%d", "rsa%d"} {
			s := fmt.Sprintf(format, i)
			names[registry.PublicKeyName(s)] = true
			names[registry.SSHKeyExchangeName(s)] = true
			names[registry.SSHKeyAlgorithmName(s)] = true
		}
		names[registry.TLSGroupName(uint64(0x7000+i))] = true
	}
	if len(names) > 4 {
		t.Errorf("18000 made-up names became %d: %v", len(names), names)
	}
}

func TestWeakSSHCiphersAndMACs(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"none": "null_cipher", "arcfour": "rc4", "arcfour128": "rc4", "arcfour256": "rc4", "3des-cbc": "3des ssh_cbc",
		"des-cbc": "des ssh_cbc", "aes128-cbc": "ssh_cbc", "aes256-cbc": "ssh_cbc", "blowfish-cbc": "64_bit_blocks ssh_cbc",
		"cast128-cbc": "64_bit_blocks ssh_cbc", "rijndael-cbc@lysator.liu.se": "ssh_cbc", "3des-ctr": "3des",
		"blowfish-ctr": "64_bit_blocks", "idea-ctr": "64_bit_blocks", "twofish256-ctr": "", "arcfour-made-up": "rc4",
		"aes128-ctr": "", "aes256-gcm@openssh.com": "", "chacha20-poly1305@openssh.com": "", "AEAD_AES_256_GCM": "", "": "",
	} {
		if got := strings.Join(registry.SSHCipher(name), " "); got != want {
			t.Errorf("cipher %s: %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"hmac-md5": "md5_mac", "hmac-md5-96": "md5_mac", "hmac-md5-etm@openssh.com": "md5_mac",
		"hmac-md5-96-etm@openssh.com": "md5_mac", "hmac-sha1": "sha1_mac", "hmac-sha1-96": "sha1_mac",
		"hmac-sha1-etm@openssh.com": "sha1_mac", "hmac-sha1-96-etm@openssh.com": "sha1_mac",
		"none": "null_mac", "hmac-sha2-256": "", "hmac-sha2-512-etm@openssh.com": "", "umac-64@openssh.com": "",
		"umac-64-etm@openssh.com": "", "umac-128-etm@openssh.com": "", "": "",
	} {
		if got := strings.Join(registry.SSHMAC(name), " "); got != want {
			t.Errorf("MAC %s: %q, want %q", name, got, want)
		}
	}
}

func TestSizeOfSSHKeys(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		bits uint64
		want string
	}{
		{"rsa-sha2-256", 1024, "rsa_below_2048"},
		{"rsa-sha2-512-cert-v01@openssh.com", 2047, "rsa_below_2048"},
		{"rsa-sha2-256", 2048, ""},
		{"rsa-sha2-256", 0, ""},
		{"ssh-rsa", 1024, "sha1_signature rsa_below_2048"},
		{"ssh-rsa", 4096, "sha1_signature"},
		{"rsa-sha2-256", 2047, "rsa_below_2048"},
		{"rsa-sha2-256", 3071, ""},
		{"rsa-sha2-256", 1, "rsa_below_2048"},
		{"x509v3-rsa2048-sha256", 1024, "rsa_below_2048"},
		{"", 1024, "rsa_below_2048"},
		{"", 2048, ""},
		{"ssh-dss", 4096, "sha1_signature dsa_below_2048"},
		{"ssh-ed25519", 256, ""},
		{"ecdsa-sha2-nistp256", 1024, ""},
	} {
		if _, weak := registry.SSHKeyAlgorithm(c.name, c.bits); strings.Join(weak, " ") != c.want {
			t.Errorf("%s with %d bits: %q, want %q", c.name, c.bits, weak, c.want)
		}
	}
}

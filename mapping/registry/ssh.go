// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"slices"
	"strings"
)

// verdict is the judgement of an SSH name.
type verdict struct {
	status Status
	weak   []string
}

var (
	sshKeyExchanges = newSSHKeyExchanges()
	sha1Signature   = []string{WeakSHA1Signature}
	sshDSS          = []string{WeakSHA1Signature, WeakDSABelow2048}
)

func newSSHKeyExchanges() map[string]verdict {
	kex := make(map[string]verdict)
	for _, row := range readTable("ssh_kex.csv") {
		kex[row[0]] = verdict{parseStatus(row[1]), weakSSHKeyExchange(row[0])}
	}
	return kex
}

// sshCurves are the curves of RFC 5656, 10.1, below 224 bits, which names have as object identifiers: nistp192 and nistk163.
var sshCurves = []string{"ecdh-sha2-1.2.840.10045.3.1.1", "ecdh-sha2-1.3.132.0.1"}

// weakSSHKeyExchange returns why a method without its domain is weak. OpenSSH offers none with SHA-1 by default; RFC 9142
// and BSI TR-02102-4 deprecate them.
func weakSSHKeyExchange(name string) (weak []string) {
	switch name {
	case "diffie-hellman-group1-sha1", "gss-group1-sha1": // the Second Oakley Group: 1024 bits (RFC 4253, 8.1)
		weak = append(weak, WeakDHBelow2048)
	}
	if slices.Contains(sshCurves, name) {
		weak = append(weak, WeakECBelow224)
	}
	weak = read(name).weakSize(weak)
	if strings.HasSuffix(name, "-sha1") {
		weak = append(weak, WeakSHA1Exchange)
	}
	return slices.Clip(weak)
}

// SSHKeyExchange returns the status of a key exchange method and why it is weak. A method that is not in the table is
// judged by its words.
func SSHKeyExchange(name string) (status Status, weak []string) {
	if v, ok := sshKeyExchanges[name]; ok {
		return v.status, v.weak
	}
	name, _, _ = strings.Cut(name, "@")
	if strings.HasPrefix(name, "gss-") { // the name ends in the digest of a mechanism's OID, in base64 (RFC 4462, 2.3)
		name = name[:strings.LastIndexByte(name, '-')]
	}
	return read(name).status(), weakSSHKeyExchange(name)
}

// SSHKeyExchangeGroup returns the status of a key exchange by the spelling of its group, and why it is weak.
func SSHKeyExchangeGroup(group string) (status Status, weak []string) {
	r := read(group)
	return r.status(), r.weakSize(nil)
}

// SSHKeyAlgorithm returns the status of a public key algorithm, with or without certificate, and why it is weak.
// is the size of an RSA key, 0 if it is not reported; a key of that size without an algorithm is an RSA key. Where a
// library reports the type of the key instead of the algorithm, "ssh-rsa" may have signed with SHA-2: RFC 8332.
func SSHKeyAlgorithm(name string, rsaBits uint64) (status Status, weak []string) {
	if name == "" && rsaBits != 0 {
		name = "rsa"
	}
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, "-cert-v")
	r := read(name)
	if r.kind == rsa && rsaBits != 0 {
		r.bits = rsaBits
	}
	switch name {
	case "ssh-rsa", "x509v3-ssh-rsa": // RFC 4253, 6.6; RFC 6187, 3
		return r.status(), r.weakSize(slices.Clip(sha1Signature))
	case "ssh-dss", "x509v3-ssh-dss": // signs with 160 bits, for which FIPS 186 has a prime of 1024 bits at most
		return r.status(), slices.Clip(sshDSS)
	}
	return r.status(), r.weakSize(nil)
}

// SSHCipher returns why an SSH cipher is weak. OpenSSH removed arcfour, and since CVE-2008-5161 (plaintext recovery) it
// (plaintext recovery); BSI TR-02102-4 and the CNSA suite have neither, nor ciphers with blocks of 64 bits.
func SSHCipher(name string) (weak []string) {
	name, _, _ = strings.Cut(strings.ToLower(name), "@")
	family, _, _ := strings.Cut(name, "-")
	switch family {
	case "none":
		return []string{WeakNullCipher}
	case "arcfour", "arcfour128", "arcfour256", "rc4":
		return []string{WeakRC4}
	case "3des":
		weak = append(weak, Weak3DES)
	case "des":
		weak = append(weak, WeakDES)
	case "blowfish", "cast128", "idea":
		weak = append(weak, Weak64BitBlocks)
	}
	if strings.HasSuffix(name, "-cbc") {
		weak = append(weak, WeakSSHCBC)
	}
	return weak
}

// SSHCipherAuthenticates reports whether an SSH cipher has a MAC of its own, so that the negotiated one is not used:
// OpenSSH's PROTOCOL, 1.6, and RFC 5647.
func SSHCipherAuthenticates(cipher string) bool {
	name, _, _ := strings.Cut(strings.ToLower(cipher), "@")
	return name == "chacha20-poly1305" || strings.HasSuffix(name, "-gcm") || strings.HasPrefix(name, "aead_")
}

// SSHMAC returns why an SSH MAC is weak, whether it is computed before or after encryption (-etm). OpenSSH offers none with
// MD5 by default; BSI TR-02102-4 has none with SHA-1.
func SSHMAC(name string) (weak []string) {
	name, _, _ = strings.Cut(strings.ToLower(name), "@")
	switch strings.TrimSuffix(name, "-etm") {
	case "none":
		return []string{WeakNullMAC}
	case "hmac-md5", "hmac-md5-96":
		return []string{WeakMD5MAC}
	case "hmac-sha1", "hmac-sha1-96":
		return []string{WeakSHA1MAC}
	}
	return nil
}

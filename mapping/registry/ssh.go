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

// sshCurves are the key exchange methods with the curves below 224 bits of RFC 5656, 10.1: nistp192 and nistk163. The
// names of these methods contain the object identifier of the curve.
var sshCurves = []string{"ecdh-sha2-1.2.840.10045.3.1.1", "ecdh-sha2-1.3.132.0.1"}

// weakSSHKeyExchange returns the weak reasons of a key exchange method, whose name must not contain an @ and a domain.
// Methods with SHA-1 count as weak because OpenSSH does not offer them by default, and RFC 9142 and BSI TR-02102-4
// deprecate them.
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

// SSHKeyExchange returns the status and the weak reasons of a key exchange method. A method that is not in the table is
// judged by the words of its name.
func SSHKeyExchange(name string) (status Status, weak []string) {
	if v, ok := sshKeyExchanges[name]; ok {
		return v.status, v.weak
	}
	name, _, _ = strings.Cut(name, "@")
	if strings.HasPrefix(name, "gss-") { // the name ends in a base64 digest of the mechanism's OID (RFC 4462, 2.3)
		name = name[:strings.LastIndexByte(name, '-')]
	}
	return read(name).status(), weakSSHKeyExchange(name)
}

// SSHKeyExchangeGroup returns the status and the weak reasons of a key exchange with a group, given by its spelling.
func SSHKeyExchangeGroup(group string) (status Status, weak []string) {
	r := read(group)
	return r.status(), r.weakSize(nil)
}

// SSHKeyAlgorithm returns the status and the weak reasons of a public key algorithm, with or without certificate.
// rsaBits is the size of an RSA key, 0 if it was not reported. If the name is "" and rsaBits is not 0, the algorithm is
// RSA. If a library reports the type of the key as the algorithm, "ssh-rsa" may have signed with SHA-2 (RFC 8332); then
// the returned reason sha1_signature does not apply.
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
	case "ssh-dss", "x509v3-ssh-dss": // the subgroup has 160 bits, which FIPS 186 allows for primes up to 1024 bits only
		return r.status(), slices.Clip(sshDSS)
	}
	return r.status(), r.weakSize(nil)
}

// SSHCipher returns the weak reasons of an SSH cipher. OpenSSH removed arcfour and offers no CBC mode by default since
// CVE-2008-5161 (plaintext recovery). BSI TR-02102-4 and the CNSA suite contain neither arcfour nor CBC modes nor
// ciphers with 64-bit blocks.
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

// SSHCipherAuthenticates reports whether an SSH cipher includes authentication, so that the negotiated MAC is not used:
// OpenSSH's PROTOCOL, 1.6, and RFC 5647.
func SSHCipherAuthenticates(cipher string) bool {
	name, _, _ := strings.Cut(strings.ToLower(cipher), "@")
	return name == "chacha20-poly1305" || strings.HasSuffix(name, "-gcm") || strings.HasPrefix(name, "aead_")
}

// SSHMAC returns the weak reasons of an SSH MAC. They do not depend on whether the MAC is computed before or after
// encryption (-etm). OpenSSH offers no MAC with MD5 by default; BSI TR-02102-4 contains no MAC with SHA-1.
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

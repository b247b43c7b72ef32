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
)

func newSSHKeyExchanges() map[string]verdict {
	kex := make(map[string]verdict)
	for _, row := range readTable("ssh_kex.csv") {
		kex[row[0]] = verdict{parseStatus(row[1]), weakSSHKeyExchange(row[0])}
	}
	return kex
}

func weakSSHKeyExchange(name string) []string {
	switch name {
	case "diffie-hellman-group1-sha1", "gss-group1-sha1": // the Second Oakley Group: 1024 bits (RFC 4253, 8.1)
		return []string{WeakDHBelow2048}
	}
	return read(name).weakSize(nil)
}

// SSHKeyExchange returns the status of a key exchange method and why it is weak. A method that is not in the table is
// judged by its words.
func SSHKeyExchange(name string) (status Status, weak []string) {
	if v, ok := sshKeyExchanges[name]; ok {
		return v.status, v.weak
	}
	name, _, _ = strings.Cut(name, "@")
	if strings.HasPrefix(name, "gss-") { // ends in the digest of a mechanism's OID, in base64 (RFC 4462, 2.3)
		name = name[:strings.LastIndexByte(name, '-')]
	}
	return read(name).status(), weakSSHKeyExchange(name)
}

// SSHKeyAlgorithm returns the status of a public key algorithm, with or without certificate, and why it is weak. rsaBits
// is the size of an RSA key, 0 if it is not reported. Where a library reports the type of the key instead of the
// algorithm, "ssh-rsa" may have signed with SHA-2: RFC 8332.
func SSHKeyAlgorithm(name string, rsaBits uint64) (status Status, weak []string) {
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, "-cert-v")
	r := read(name)
	if r.kind == rsa && rsaBits != 0 {
		r.bits = rsaBits
	}
	switch name {
	case "ssh-rsa", "ssh-dss", "x509v3-ssh-rsa", "x509v3-ssh-dss": // RFC 4253, 6.6; RFC 6187, 3
		return r.status(), r.weakSize(slices.Clip(sha1Signature))
	}
	return r.status(), r.weakSize(nil)
}

// SSHCipher returns why an SSH cipher is weak. OpenSSH removed arcfour and offers no CBC mode by default since CVE-2008-5161
// (plaintext recovery); BSI TR-02102-4 and the CNSA suite have neither, nor triple DES.
func SSHCipher(name string) (weak []string) {
	name, _, _ = strings.Cut(strings.ToLower(name), "@")
	switch {
	case name == "none":
		return []string{WeakNullCipher}
	case strings.HasPrefix(name, "arcfour"), name == "rc4":
		return []string{WeakRC4}
	case strings.HasPrefix(name, "3des-"):
		weak = append(weak, Weak3DES)
	case strings.HasPrefix(name, "des-"):
		weak = append(weak, WeakDES)
	}
	if strings.HasSuffix(name, "-cbc") {
		weak = append(weak, WeakSSHCBC)
	}
	return weak
}

// SSHMAC returns why an SSH MAC is weak, whether it is computed before or after encryption (-etm). OpenSSH offers none with
// MD5 by default; RFC 9142 and BSI TR-02102-4 deprecate SHA-1.
func SSHMAC(name string) (weak []string) {
	name, _, _ = strings.Cut(strings.ToLower(name), "@")
	switch strings.TrimSuffix(name, "-etm") {
	case "hmac-md5", "hmac-md5-96":
		return []string{WeakMD5MAC}
	case "hmac-sha1", "hmac-sha1-96":
		return []string{WeakSHA1MAC}
	}
	return nil
}

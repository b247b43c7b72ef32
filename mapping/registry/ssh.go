// SPDX-License-Identifier: Apache-2.0

package registry

import "strings"

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

// SSHKeyAlgorithm returns the status of a public key algorithm, with or without certificate, and why it is weak. Where a
// library gives the type of the key instead, "ssh-rsa" may have signed with SHA-2: RFC 8332.
func SSHKeyAlgorithm(name string) (status Status, weak []string) {
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, "-cert-v")
	r := read(name)
	switch name {
	case "ssh-rsa", "ssh-dss", "x509v3-ssh-rsa", "x509v3-ssh-dss": // RFC 4253, 6.6; RFC 6187, 3
		return r.status(), sha1Signature
	}
	return r.status(), r.weakSize(nil)
}

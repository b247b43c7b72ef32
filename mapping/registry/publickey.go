// SPDX-License-Identifier: Apache-2.0

package registry

// PublicKey judges a public key operation. The arguments are the name of the operation's context, such as "pk::sign",
// and the values of the context's keys; "" or 0 stands for a key that was not reported. PublicKey accepts the spellings
// of GnuTLS, OpenSSL, liboqs and the standards, in any case and with any punctuation. The status follows from the
// algorithm, otherwise from the curve, otherwise from the group. bits is the size of the classical key and overrides a
// size in a spelling.
func PublicKey(operation, algorithm, curve, group, hash string, bits uint64) (status Status, weak []string) {
	r := read(algorithm)
	for _, spelling := range [...]string{curve, group} {
		if spelling == "" {
			continue
		}
		o := read(spelling)
		if r.parts != 0 {
			o.parts = 0
		}
		r.join(o)
	}
	if bits != 0 {
		r.bits = bits
	}
	if operation == "pk::sign" || operation == "pk::verify" {
		r.digests |= read(hash).digests
		weak = r.weakDigest(weak)
	}
	return r.status(), r.weakSize(weak)
}

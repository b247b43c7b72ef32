// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
)

func TestBuiltinRulesAreValid(t *testing.T) {
	t.Parallel()
	for _, s := range sets {
		newPolicy(t, Config{Name: s.name})
		for _, r := range s.rules {
			if !strings.HasPrefix(r.Name, s.name+"/") {
				t.Errorf("%s in %s", r.Name, s.name)
			}
		}
	}
}

func TestStatusesThatViolateBuiltinSets(t *testing.T) {
	t.Parallel()
	statuses := []string{"post_quantum", "hybrid", "classical", "unknown", ""} // "": the attribute is missing
	violates := map[string]map[string]string{                                  // violating statuses by set and attribute
		"none":      {},
		"hybrid-ok": {keyExchangeStatus: "classical unknown"},
		"pq-only":   {keyExchangeStatus: "hybrid classical unknown", authenticationStatus: "hybrid classical unknown"},
		"cnsa-2.0":  {keyExchangeStatus: "hybrid classical unknown", authenticationStatus: "hybrid classical unknown"},
	}
	short := map[string]string{keyExchangeStatus: "key-exchange", authenticationStatus: "authentication"}
	for name, bad := range violates {
		p := newPolicy(t, Config{Name: name})
		for _, kx := range statuses {
			for _, auth := range statuses {
				var attrs []attribute.KeyValue
				var want []string
				for key, status := range map[string]string{keyExchangeStatus: kx, authenticationStatus: auth} {
					if status != "" {
						attrs = append(attrs, attribute.String(key, status))
						if slices.Contains(strings.Fields(bad[key]), status) {
							want = append(want, name+"/"+short[key])
						}
					}
				}
				slices.SortFunc(want, func(a, b string) int { return strings.Compare(b, a) }) // key-exchange first
				for _, span := range []string{"tls::handshake", "ssh::handshake", "pk::encapsulate"} {
					if got := p.Check("x", span, attrs); !slices.Equal(got, want) {
						t.Errorf("%s: %s, key exchange %q, authentication %q: %q, want %q", name, span, kx, auth, got, want)
					}
				}
			}
		}
	}
}

func TestCNSA(t *testing.T) {
	t.Parallel()
	p := newPolicy(t, Config{Name: "cnsa-2.0"})
	if got := p.Check("nginx", "tls::handshake", goodHandshake); got != nil {
		t.Errorf("good handshake violates %q", got)
	}
	for _, test := range []struct {
		span, key, values string // each value of key is tested separately
		want              string // name of the violated rule without "cnsa-2.0/"; "" if none
	}{
		{"tls::handshake", "tls.protocol.version", "1.3", ""},
		{"tls::handshake", "tls.protocol.version", "1.0 1.1 1.2 unknown(0x7f17)", "tls-version"},
		{"tls::handshake", "tls.cipher", "TLS_AES_256_GCM_SHA384", ""},
		{"tls::handshake", "tls.cipher", "TLS_AES_128_GCM_SHA256 TLS_CHACHA20_POLY1305_SHA256", "tls-cipher"},
		{"tls::handshake", "tls.group.name", "MLKEM1024", ""},
		{"tls::handshake", "tls.group.name", "MLKEM768 X25519MLKEM768 SecP384r1MLKEM1024 x25519 unknown(0x7777)", "tls-group"},
		{"tls::key_exchange", "tls.group.name", "x25519 MLKEM1024", ""},
		{"tls::handshake", "tls.signature_scheme.name", "mldsa65 rsa_pss_rsae_sha256", "tls-signature"},
		{"tls::sign", "tls.signature_scheme.name", "mldsa87", ""},
		{"tls::verify", "tls.signature_scheme.name", "slhdsa_sha2_256s ecdsa_secp384r1_sha384", "tls-signature"},

		{"ssh::key_exchange", "ssh.kex_algorithm", "mlkem1024-sha384", ""},
		{"ssh::key_exchange", "ssh.kex_algorithm", "mlkem768-sha256 mlkem1024nistp384-sha384 curve25519-sha256", "ssh-key-exchange"},
		{"ssh::server_key", "ssh.key_algorithm", "ssh-mldsa-87 x509v3-ssh-mldsa-87", ""},
		{"ssh::client_key", "ssh.key_algorithm", "ssh-mldsa-65 ssh-ed25519 ssh-mldsa-87-es384", "ssh-key"},
		{"ssh::key_exchange", "ssh.c2s_cipher", "aes256-gcm@openssh.com AEAD_AES_256_GCM aes256-ctr", ""},
		{"ssh::key_exchange", "ssh.c2s_cipher", "aes128-ctr chacha20-poly1305@openssh.com", "ssh-cipher-c2s"},
		{"ssh::key_exchange", "ssh.s2c_cipher", "aes192-ctr 3des-cbc", "ssh-cipher-s2c"},

		{"pk::sign", "pk.algorithm", "ML-DSA-87 mldsa87 MLDSA87 id-ml-dsa-87 LMS lms_sha256_n24_h5 XMSS XMSS-SHA2_10_256", ""},
		{"pk::sign", "pk.algorithm", "RSA EC/ECDSA ML-DSA-65 id-hash-ml-dsa-87-with-sha512 HSS XMSSMT-SHA2_20/2_256 XMSS^MT SLH-DSA-SHA2-256s", "pk-sign"},
		{"pk::verify", "pk.algorithm", "ML-DSA-87", ""},
		{"pk::verify", "pk.algorithm", "RSA-PSS ML-DSA-877 ML-DSA-87-ED448", "pk-verify"},
		{"pk::encapsulate", "pk.algorithm", "ML-KEM-1024 mlkem1024 id-alg-ml-kem-1024", ""},
		{"pk::encapsulate", "pk.algorithm", "ML-KEM-768 X25519MLKEM768 SecP384r1MLKEM1024 Kyber1024", "pk-encapsulate"},
		{"pk::decapsulate", "pk.algorithm", "ML-KEM-1024", ""},
		{"pk::decapsulate", "pk.algorithm", "ML-KEM-512 sntrup761", "pk-decapsulate"},
		{"pk::derive", "pk.algorithm", "ECDH", "pk-classical"},
		{"pk::encrypt", "pk.algorithm", "RSA", "pk-classical"},
		{"pk::decrypt", "pk.algorithm", "SM2", "pk-classical"},
		{"pk::generate", "pk.algorithm", "EC RSA", ""},
	} {
		for value := range strings.FieldsSeq(test.values) {
			var want []string
			if test.want != "" {
				want = []string{"cnsa-2.0/" + test.want}
			}
			if got := p.Check("x", test.span, []attribute.KeyValue{attribute.String(test.key, value)}); !slices.Equal(got, want) {
				t.Errorf("%s, %s %s: %q, want %q", test.span, test.key, value, got, want)
			}
		}
	}
}

func ExamplePolicy_Check() {
	p, err := New(Config{
		Name: "pq-only",
		Rules: []Rule{
			{Name: "old-tls", Attribute: "tls.protocol.version", Operator: "in", Value: []any{"1.0", "1.1", "1.2"}, Executable: "nginx*"},
			{Name: "sha-1", Attribute: "crypto.weak", Operator: "contains", Value: "sha1_signature"},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Check("nginx", "tls::handshake", []attribute.KeyValue{
		attribute.String("tls.protocol.version", "1.2"),
		attribute.String("crypto.pqc.key_exchange.status", "classical"),
		attribute.StringSlice("crypto.weak", []string{"sha1_signature", "rsa_bits"}),
	}))
	// Output: [pq-only/key-exchange old-tls sha-1]
}

// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/mapping/registry"
)

type judgement struct {
	status registry.Status
	weak   []string
}

func (want judgement) check(t *testing.T, what string, status registry.Status, weak []string) {
	t.Helper()
	if status != want.status || !slices.Equal(weak, want.weak) {
		t.Errorf("%s: %v %v, want %v %v", what, status, weak, want.status, want.weak)
	}
}

// Each spelling of an algorithm, also in upper and lower case, implies the status without any other data.
func TestSpellings(t *testing.T) {
	t.Parallel()
	for status, spellings := range map[registry.Status][]string{
		registry.Classical: {
			// Spellings of GnuTLS.
			"RSA", "RSA-PSS", "RSA-OAEP", "RSA (X.509)", "DSA", "DH", "EC/ECDSA", "EdDSA (Ed25519)", "EdDSA (Ed448)",
			"ECDH (X25519)", "ECDH (X448)", "GOST R 34.10-94", "GOST R 34.10-2001", "GOST R 34.10-2012-256",
			// Spellings of OpenSSL.
			"rsaEncryption", "RSASSA-PSS", "rsassaPss", "sha256WithRSAEncryption", "DHX", "X9.42 DH", "dhKeyAgreement",
			"dhpublicnumber", "EC", "id-ecPublicKey", "ECDSA", "ecdsa-with-SHA256", "ECDH", "X25519", "X448", "ED25519",
			"ED448", "ED25519ph", "SM2", "dsaEncryption", "id-dsa-with-sha256", "gost2012_256",
			// Other spellings.
			"rsa2048", "p256", "P-384", "ElGamal", "DHKEM(X25519, HKDF-SHA256)", "SHA256withECDSA", "Diffie-Hellman",
		},
		registry.PostQuantum: {
			"ML-KEM-768", "MLKEM1024", "ML-DSA-44", "id-ml-dsa-65", "id-hash-ml-dsa-65-with-sha512", "HashML-DSA-87",
			"MLDSA65", "mldsa", "kyber768", "CRYSTALS-Kyber", "dilithium3", "dilithium3_aes",
			"SLH-DSA", "SLH-DSA-SHA2-128s", "id-slh-dsa-shake-256f", "SPHINCS+", "SPHINCS+-SHA2-128f-simple",
			"sphincssha2128fsimple", "sphincsshake256ssimple", "Falcon-512", "falconpadded1024", "FN-DSA-512", "FNDSA1024",
			"XMSS", "XMSS^MT", "XMSSMT-SHA2_20/2_256", "LMS", "LMS/HSS", "HSS-LMS", "sntrup761", "NTRU Prime",
			"NTRU-HPS-2048-509",
			"FrodoKEM", "FrodoKEM-640-AES", "frodo976shake", "HQC", "hqc128", "BIKE", "bikel1", "Classic McEliece",
			"Classic-McEliece-348864", "mceliece6688128",
		},
		registry.Hybrid: {
			"X25519MLKEM768", "X25519-MLKEM768", "SecP256r1MLKEM768", "SECP384R1-MLKEM1024", "curveSM2MLKEM768",
			"MLKEM768-X25519-SHA3-256", "X448MLKEM1024", "p256_kyber512", "x25519_frodo640aes", "X-Wing", "XWing",
			"id-MLDSA65-ECDSA-P256-SHA512", "id-MLDSA44-RSA2048-PSS-SHA256", "MLDSA87-Ed448-SHAKE256", "mldsa44_bp256",
			"rsa3072_dilithium2", "p521_falcon1024", "id-MLKEM768-RSA3072-SHA3-256", "sntrup761x25519-sha512",
			"p256_sphincssha2128fsimple", "EC/ECDSA + ML-DSA-65",
		},
		registry.Unknown: {
			"", "UNKNOWN", "none", "AES-256-GCM", "SHA1", "HMAC", "SIKE", "sikep434", "Rainbow", "1.2.840.113549.1.1.1",
			"universal", "spec", "kem", "768", "-/()", "ÆØÅ", "\x00\xff", strings.Repeat("x", 4096) + "-rsa",
		},
	} {
		for _, spelling := range spellings {
			for _, s := range []string{spelling, strings.ToLower(spelling), strings.ToUpper(spelling)} {
				if got, weak := registry.PublicKey("pk::generate", s, "", "", "", 0); got != status || weak != nil {
					t.Errorf("%q: %v %v, want %v", s, got, weak, status)
				}
			}
		}
	}
}

func TestPublicKey(t *testing.T) {
	t.Parallel()
	const c, pq = registry.Classical, registry.PostQuantum
	for _, test := range []struct {
		operation, algorithm, curve, group, hash string
		bits                                     uint64
		want                                     judgement
	}{
		// If the algorithm implies no status, the curve or group does.
		{"pk::derive", "", "SECP256R1", "", "", 0, judgement{c, nil}},
		{"pk::derive", "", "CryptoPro-XchA", "", "", 0, judgement{c, nil}},
		{"pk::derive", "", "TC26-512-A", "", "", 0, judgement{c, nil}},
		{"pk::derive", "", "prime256v1", "", "", 0, judgement{c, nil}},
		{"pk::derive", "", "brainpoolP384r1", "", "", 0, judgement{c, nil}},
		{"pk::derive", "UNKNOWN", "X25519", "", "", 0, judgement{c, nil}},
		{"pk::derive", "", "", "ffdhe3072", "", 0, judgement{c, nil}},
		{"pk::encapsulate", "", "", "SECP256R1-MLKEM768", "", 0, judgement{registry.Hybrid, nil}},
		{"pk::generate", "", "unknown", "", "", 2048, judgement{registry.Unknown, nil}},
		// If the algorithm implies a status, the curve and group do not change it.
		{"pk::derive", "ECDH", "X25519", "X25519MLKEM768", "", 255, judgement{c, nil}},
		{"pk::generate", "ML-KEM-768", "X25519", "", "", 0, judgement{pq, nil}},

		// A key that is too small is weak.
		{"pk::sign", "RSA", "", "", "SHA256", 2047, judgement{c, []string{"rsa_below_2048"}}},
		{"pk::sign", "RSA", "", "", "SHA256", 2048, judgement{c, nil}},
		{"pk::sign", "RSA", "", "", "SHA256", 0, judgement{c, nil}},
		{"pk::encrypt", "rsaEncryption", "", "", "", 1024, judgement{c, []string{"rsa_below_2048"}}},
		{"pk::decrypt", "RSA-OAEP", "", "", "SHA1", 512, judgement{c, []string{"rsa_below_2048"}}},
		{"pk::generate", "rsa1024", "", "", "", 0, judgement{c, []string{"rsa_below_2048"}}},
		{"pk::generate", "rsa1024", "", "", "", 4096, judgement{c, nil}},
		{"pk::verify", "DSA", "", "", "SHA256", 1024, judgement{c, []string{"dsa_below_2048"}}},
		{"pk::derive", "DH", "", "", "", 2047, judgement{c, []string{"dh_below_2048"}}},
		{"pk::derive", "DHX", "", "dh_1024_160", "", 0, judgement{c, []string{"dh_below_2048"}}},
		{"pk::derive", "DH", "", "modp_1536", "", 0, judgement{c, []string{"dh_below_2048"}}},
		{"pk::derive", "DH", "", "ffdhe2048", "", 0, judgement{c, nil}},
		{"pk::derive", "EC/ECDSA", "SECP192R1", "", "", 0, judgement{c, []string{"ec_below_224"}}},
		{"pk::derive", "ECDH", "prime192v1", "", "", 0, judgement{c, []string{"ec_below_224"}}},
		{"pk::derive", "ECDH", "P-192", "", "", 0, judgement{c, []string{"ec_below_224"}}},
		{"pk::derive", "", "c2pnb163v1", "", "", 0, judgement{c, []string{"ec_below_224"}}},
		{"pk::derive", "", "brainpoolP160r1", "", "", 0, judgement{c, []string{"ec_below_224"}}},
		{"pk::sign", "EC", "", "", "SHA256", 223, judgement{c, []string{"ec_below_224"}}},
		{"pk::sign", "EC", "SECP224R1", "", "SHA256", 224, judgement{c, nil}},
		{"pk::sign", "EdDSA (Ed25519)", "Ed25519", "", "", 256, judgement{c, nil}},
		{"pk::derive", "X25519", "", "", "", 253, judgement{c, nil}},
		{"pk::sign", "GOST R 34.10-2012-256", "CryptoPro-A", "", "", 256, judgement{c, nil}},
		{"pk::encapsulate", "ML-KEM-768", "", "", "", 192, judgement{pq, nil}},
		{"pk::generate", "X25519MLKEM768", "", "", "", 192, judgement{registry.Hybrid, nil}},

		// A broken digest makes only signatures weak.
		{"pk::sign", "RSA", "", "", "SHA1", 2048, judgement{c, []string{"sha1_signature"}}},
		{"pk::verify", "ECDSA", "P-256", "", "sha-1", 0, judgement{c, []string{"sha1_signature"}}},
		{"pk::verify", "RSA", "", "", "MD5", 1024, judgement{c, []string{"md5_signature", "rsa_below_2048"}}},
		{"pk::sign", "RSA", "", "", "MD5+SHA1", 0, judgement{c, []string{"sha1_signature", "md5_signature"}}},
		{"pk::verify", "RSA-SHA1", "", "", "", 0, judgement{c, []string{"sha1_signature"}}},
		{"pk::verify", "md5WithRSAEncryption", "", "", "", 0, judgement{c, []string{"md5_signature"}}},
		{"pk::verify", "dsaWithSHA1", "", "", "", 0, judgement{c, []string{"sha1_signature"}}},
		{"pk::verify", "dsa-with-sha1", "", "", "", 0, judgement{c, []string{"sha1_signature"}}},
		{"pk::verify", "dsa_with_SHA256", "", "", "", 0, judgement{c, nil}},
		{"pk::encrypt", "RSA-OAEP", "", "", "SHA1", 2048, judgement{c, nil}},
		{"", "RSA", "", "", "MD5", 2048, judgement{c, nil}},
		{"pk::sign", "RSA", "", "", "SHA2-256", 0, judgement{c, nil}},
		{"pk::sign", "RSA", "", "", "SHA3-512", 0, judgement{c, nil}},
		{"pk::sign", "SLH-DSA-SHA2-128s", "", "", "", 0, judgement{pq, nil}},
		{"pk::sign", "", "", "", "SHA1", 0, judgement{registry.Unknown, []string{"sha1_signature"}}},
	} {
		status, weak := registry.PublicKey(test.operation, test.algorithm, test.curve, test.group, test.hash, test.bits)
		test.want.check(t, strings.Join([]string{
			test.operation, test.algorithm, test.curve, test.group, test.hash,
		}, ","), status, weak)
	}
}

func FuzzPublicKey(f *testing.F) {
	f.Add("pk::sign", "EC/ECDSA", "SECP256R1", "", "SHA256", uint64(256))
	f.Add("pk::derive", "id-MLDSA65-ECDSA-P256-SHA512", "x25519", "ffdhe2048", "MD5+SHA1", uint64(1<<64-1))
	f.Add("", strings.Repeat("a1", 64), strings.Repeat("1", 128), strings.Repeat("dh", 65), "\xff", uint64(0))
	words := make(map[string]bool)
	for _, reason := range registry.WeakReasons() {
		words[reason.Word] = true
	}
	upper := func(s string) string {
		b := []byte(s)
		for i, c := range b {
			if 'a' <= c && c <= 'z' {
				b[i] = c - 'a' + 'A'
			}
		}
		return string(b)
	}
	f.Fuzz(func(t *testing.T, operation, algorithm, curve, group, hash string, bits uint64) {
		status, weak := registry.PublicKey(operation, algorithm, curve, group, hash, bits)
		if status == registry.NotApplicable || status > registry.Unknown {
			t.Errorf("status %d", status)
		}
		for _, word := range weak {
			if !words[word] {
				t.Errorf("reason %q is not documented", word)
			}
		}
		status2, weak2 := registry.PublicKey(operation, upper(algorithm), upper(curve), upper(group), upper(hash), bits)
		if status2 != status || !slices.Equal(weak2, weak) {
			t.Errorf("upper case: %v %v, was %v %v", status2, weak2, status, weak)
		}
		registry.SSHKeyExchange(algorithm)
		registry.SSHKeyAlgorithm(algorithm, bits)
	})
}

func BenchmarkPublicKey(b *testing.B) {
	for _, algorithm := range []string{"ML-KEM-768", "EC/ECDSA", "id-MLDSA65-ECDSA-P256-SHA512"} {
		b.Run(algorithm, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				registry.PublicKey("pk::sign", algorithm, "SECP256R1", "", "SHA256", 0)
			}
		})
	}
}

func BenchmarkTLSGroup(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		registry.TLSGroup(0x11ec)
	}
}

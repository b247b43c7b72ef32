// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"slices"
	"strings"
)

// These names replace spellings that are not listed. Names become attributes of metrics, so without the replacements a
// program could create any number of series by inventing names.
const (
	// OtherName replaces a spelling that is not listed but belongs to a known family of algorithms.
	OtherName = "other"
	// UnknownName replaces a spelling that belongs to no known family.
	UnknownName = "unknown"
)

// publicKeyNames lists the names of public key algorithms, each followed by its other spellings. Letter case and
// punctuation are ignored.
var publicKeyNames = newSpellings([][]string{
	{
		"RSA", "RSA (X.509)", "rsaEncryption", "RSAES", "RSASSA", "sha1WithRSAEncryption", "sha224WithRSAEncryption",
		"sha256WithRSAEncryption", "sha384WithRSAEncryption", "sha512WithRSAEncryption", "md5WithRSAEncryption",
	},
	{"RSA-PSS", "RSASSA-PSS"},
	{"RSA-OAEP", "RSAES-OAEP"},
	{"DSA", "dsaEncryption", "id-dsa", "dsaWithSHA1", "dsa-with-sha1", "id-dsa-with-sha224", "id-dsa-with-sha256"},
	{"DH", "DHX", "X9.42 DH", "Diffie-Hellman", "dhKeyAgreement", "dhpublicnumber", "DHE", "FFDHE"},
	{"EC", "EC/ECDSA", "id-ecPublicKey", "ecPublicKey", "ECC"},
	{"ECDSA", "ecdsa-with-SHA1", "ecdsa-with-SHA224", "ecdsa-with-SHA256", "ecdsa-with-SHA384", "ecdsa-with-SHA512"},
	{"ECDH", "ECDHE"},
	{"X25519", "ECDH (X25519)", "Curve25519", "XDH (X25519)"},
	{"X448", "ECDH (X448)", "Curve448", "XDH (X448)"},
	{"EdDSA"},
	{"Ed25519", "EdDSA (Ed25519)", "Ed25519ph", "Ed25519ctx"},
	{"Ed448", "EdDSA (Ed448)", "Ed448ph"},
	{"SM2"},
	{"SM9"},
	{"GOST R 34.10-94"},
	{"GOST R 34.10-2001", "gost2001"},
	{"GOST R 34.10-2012-256", "gost2012_256"},
	{"GOST R 34.10-2012-512", "gost2012_512"},
	{"ElGamal"},
	{"BLS"},

	{"ML-KEM"},
	{"ML-KEM-512", "id-alg-ml-kem-512"},
	{"ML-KEM-768", "id-alg-ml-kem-768"},
	{"ML-KEM-1024", "id-alg-ml-kem-1024"},
	{"Kyber512", "CRYSTALS-Kyber-512"},
	{"Kyber768", "CRYSTALS-Kyber-768"},
	{"Kyber1024", "CRYSTALS-Kyber-1024"},
	{"ML-DSA"},
	{"ML-DSA-44", "id-ml-dsa-44"},
	{"ML-DSA-65", "id-ml-dsa-65"},
	{"ML-DSA-87", "id-ml-dsa-87"},
	{"HashML-DSA-44"},
	{"HashML-DSA-65"},
	{"HashML-DSA-87"},
	{"Dilithium2"},
	{"Dilithium3"},
	{"Dilithium5"},
	{"SLH-DSA"},
	{"SLH-DSA-SHA2-128s", "id-slh-dsa-sha2-128s"},
	{"SLH-DSA-SHA2-128f", "id-slh-dsa-sha2-128f"},
	{"SLH-DSA-SHA2-192s", "id-slh-dsa-sha2-192s"},
	{"SLH-DSA-SHA2-192f", "id-slh-dsa-sha2-192f"},
	{"SLH-DSA-SHA2-256s", "id-slh-dsa-sha2-256s"},
	{"SLH-DSA-SHA2-256f", "id-slh-dsa-sha2-256f"},
	{"SLH-DSA-SHAKE-128s", "id-slh-dsa-shake-128s"},
	{"SLH-DSA-SHAKE-128f", "id-slh-dsa-shake-128f"},
	{"SLH-DSA-SHAKE-192s", "id-slh-dsa-shake-192s"},
	{"SLH-DSA-SHAKE-192f", "id-slh-dsa-shake-192f"},
	{"SLH-DSA-SHAKE-256s", "id-slh-dsa-shake-256s"},
	{"SLH-DSA-SHAKE-256f", "id-slh-dsa-shake-256f"},
	{"SPHINCS+", "SPHINCS"},
	{"FN-DSA-512"},
	{"FN-DSA-1024"},
	{"Falcon-512"},
	{"Falcon-1024"},
	{"XMSS"},
	{"XMSS^MT", "XMSSMT"},
	{"LMS"},
	{"HSS", "HSS/LMS", "LMS/HSS"},
	{"sntrup761"},
	{"FrodoKEM"},
	{"HQC"},
	{"HQC-128"},
	{"HQC-192"},
	{"HQC-256"},
	{"BIKE"},
	{"Classic McEliece"},

	{"X-Wing"},
	{"X25519MLKEM768", "MLKEM768-X25519"},
	{"SecP256r1MLKEM768", "MLKEM768-SecP256r1"},
	{"SecP384r1MLKEM1024", "MLKEM1024-SecP384r1"},
	{"X448MLKEM1024"},
	{"curveSM2MLKEM768"},
})

// sizedNames maps the families whose spellings may end in the key size, as in rsa2048, to their names.
var sizedNames = map[string]string{"rsa": "RSA", "dsa": "DSA", "dh": "DH"}

// newSpellings maps the plain form of each spelling to the first spelling in its list, which is the name.
func newSpellings(names [][]string) map[string]string {
	m := make(map[string]string)
	for _, spellings := range names {
		for _, spelling := range spellings {
			m[plain(spelling)] = spellings[0]
		}
	}
	return m
}

// plain returns a spelling in lower case without punctuation, or "" if it is too long to be a name.
func plain(spelling string) string {
	if len(spelling) > maxSpelling {
		return ""
	}
	var w words
	w.cut(spelling)
	return string(w.text[:w.start[w.n]])
}

// PublicKeyName returns the name for a spelling of a public key algorithm: EC for "EC/ECDSA" and for "id-ecPublicKey".
// For a spelling that is not listed it returns [OtherName] or [UnknownName], and for "" it returns "".
func PublicKeyName(spelling string) string {
	if spelling == "" {
		return ""
	}
	text := plain(spelling)
	if name, ok := publicKeyNames[text]; ok {
		return name
	}
	if name, ok := sizedNames[strings.TrimRight(text, "0123456789")]; ok && len(text) < len("rsa")+6 {
		return name
	}
	return unlisted(read(spelling).status())
}

// unlisted returns the replacement for a spelling that is not listed and that was read as an algorithm of status s.
func unlisted(s Status) string {
	if s == Unknown {
		return UnknownName
	}
	return OtherName
}

// TLSGroupName returns the name of a registered group, else [UnknownName].
func TLSGroupName(id uint64) string {
	if g := groups.find(id); g != nil {
		return g.Name
	}
	return UnknownName
}

// TLSSignatureSchemeName returns the name of a registered signature scheme, else [UnknownName].
func TLSSignatureSchemeName(id uint64) string {
	if s := schemes.find(id); s != nil {
		return s.Name
	}
	return UnknownName
}

// gssKeyExchanges are the families of key exchange methods of RFC 4462 and RFC 8732. The name of a method is the
// family, a hyphen and a digest of the GSS-API mechanism.
var gssKeyExchanges = []string{
	"gss-group1-sha1", "gss-group14-sha1", "gss-group14-sha256", "gss-group15-sha512", "gss-group16-sha512",
	"gss-group17-sha512", "gss-group18-sha512", "gss-gex-sha1", "gss-nistp256-sha256", "gss-nistp384-sha384",
	"gss-nistp521-sha512", "gss-curve25519-sha256", "gss-curve448-sha512",
}

// SSHKeyExchangeName returns the name of a key exchange method if it is listed, else [OtherName] or [UnknownName]. For
// methods of RFC 4462 and RFC 8732 it returns the family, without the digest of the mechanism. For "" it returns "".
func SSHKeyExchangeName(name string) string {
	if name == "" {
		return ""
	}
	if _, ok := sshKeyExchanges[name]; ok {
		return name
	}
	if i := strings.LastIndexByte(name, '-'); i > 0 && slices.Contains(gssKeyExchanges, name[:i]) {
		return name[:i]
	}
	status, _ := SSHKeyExchange(name)
	return unlisted(status)
}

// sshKeyAlgorithms contains the names of IANA's registry "SSH Public Key Algorithm Names" that are in use, the names
// that OpenSSH defines (PROTOCOL.certkeys, PROTOCOL.u2f), and the names of draft-sfluhrer-ssh-mldsa.
var sshKeyAlgorithms = newSSHKeyAlgorithms(
	"ssh-dss", "ssh-rsa", "rsa-sha2-256", "rsa-sha2-512", "ssh-ed25519", "ssh-ed448",
	"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
	"sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com", "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
	"x509v3-ssh-dss", "x509v3-ssh-rsa", "x509v3-rsa2048-sha256", "x509v3-ecdsa-sha2-nistp256",
	"x509v3-ecdsa-sha2-nistp384", "x509v3-ecdsa-sha2-nistp521", "ssh-mldsa-44", "ssh-mldsa-65", "ssh-mldsa-87",
)

func newSSHKeyAlgorithms(names ...string) map[string]bool {
	m := make(map[string]bool)
	for _, name := range names {
		m[name] = true
		base, _, _ := strings.Cut(name, "@")
		m[base+"-cert-v01@openssh.com"] = true
	}
	return m
}

// SSHKeyAlgorithmName returns the name of a public key algorithm if it is listed, else [OtherName] or [UnknownName].
// For "" it returns "".
func SSHKeyAlgorithmName(name string) string {
	if name == "" || sshKeyAlgorithms[name] {
		return name
	}
	status, _ := SSHKeyAlgorithm(name, 0)
	return unlisted(status)
}

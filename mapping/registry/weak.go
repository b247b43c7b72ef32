// SPDX-License-Identifier: Apache-2.0

package registry

// Weak reasons: why a use of cryptography is weak even without a quantum computer. [WeakReasons] explains them.
const (
	WeakSHA1Signature = "sha1_signature"
	WeakMD5Signature  = "md5_signature"
	WeakRSABelow2048  = "rsa_below_2048"
	WeakDSABelow2048  = "dsa_below_2048"
	WeakDHBelow2048   = "dh_below_2048"
	WeakECBelow224    = "ec_below_224"
	WeakTLSBelow12    = "tls_below_1_2"
	WeakNullCipher    = "null_cipher"
	WeakExportCipher  = "export_cipher"
	WeakRC4           = "rc4"
	WeakDES           = "des"
	Weak3DES          = "3des"
	Weak64BitBlocks   = "64_bit_blocks"
	WeakAnonymous     = "anonymous"
	WeakSSHCBC        = "ssh_cbc"
	WeakNullMAC       = "null_mac"
	WeakMD5MAC        = "md5_mac"
	WeakSHA1MAC       = "sha1_mac"
	WeakSHA1Exchange  = "sha1_key_exchange"
)

// WeakReason is a weak reason and its meaning.
type WeakReason struct{ Word, Meaning string }

// WeakReasons returns all weak reasons. docs/attributes.md is generated from them.
func WeakReasons() []WeakReason {
	return []WeakReason{
		{WeakSHA1Signature, "signature over a SHA-1 digest"},
		{WeakMD5Signature, "signature over an MD5 digest"},
		{WeakRSABelow2048, "RSA modulus of less than 2048 bits"},
		{WeakDSABelow2048, "DSA prime of less than 2048 bits"},
		{WeakDHBelow2048, "finite-field Diffie-Hellman prime of less than 2048 bits"},
		{WeakECBelow224, "elliptic curve of less than 224 bits"},
		{WeakTLSBelow12, "SSL, TLS 1.0 or 1.1, or DTLS before 1.2"},
		{WeakNullCipher, "cipher suite or SSH cipher that does not encrypt"},
		{WeakExportCipher, "cipher suite weakened for the export rules of the 1990s (40-bit keys)"},
		{WeakRC4, "cipher suite or SSH cipher with RC4"},
		{WeakDES, "cipher suite or SSH cipher with single DES"},
		{Weak3DES, "cipher suite or SSH cipher with triple DES (64-bit blocks)"},
		{Weak64BitBlocks, "cipher suite or SSH cipher with 64-bit blocks that is no DES: Blowfish, CAST-128, IDEA, RC2"},
		{WeakAnonymous, "cipher suite that authenticates nobody"},
		{WeakSSHCBC, "SSH cipher in CBC mode"},
		{WeakNullMAC, "SSH connection whose cipher does not authenticate, without a MAC"},
		{WeakMD5MAC, "SSH MAC with MD5"},
		{WeakSHA1MAC, "SSH MAC with SHA-1"},
		{WeakSHA1Exchange, "SSH key exchange with SHA-1"},
	}
}

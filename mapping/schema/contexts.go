// SPDX-License-Identifier: Apache-2.0

package schema

// Class groups the contexts that package meaning judges in the same way.
type Class uint8

// The classes. A context that is not registered has ClassOther.
const (
	ClassOther Class = iota
	ClassTLSHandshake
	ClassTLSKeyExchange
	ClassTLSSignature // tls::sign and tls::verify
	ClassSSHHandshake
	ClassSSHKeyExchange
	ClassSSHKey
	ClassGenerate  // pk::generate
	ClassAgreement // pk::derive, pk::encapsulate and pk::decapsulate, which make a shared secret
	ClassTransport // pk::encrypt and pk::decrypt
	ClassSignature // pk::sign and pk::verify
)

// Set is a set of registered contexts, one bit each.
type Set uint32

// Context describes the contexts of one registered name.
type Context struct {
	Name  string // registered name
	Class Class
	Role  string   // client or server, if the older name that was looked up implies it; else ""
	Keys  []string // keys that belong to the context itself
	Holds []string // registered names of the contexts that may open below it
	Older []string // other names that libraries emit

	self  Set
	below Set // the contexts in Holds
}

// Name is the name of a context.
type Name struct {
	Text    string   // name as the library emits it; "" as long as no name was reported
	Context *Context // description of the name; nil if it is not registered
}

// NameOf returns the name with its description. Callers should cache the result, because it takes a map lookup.
func NameOf(text string) Name { return Name{text, byName[text]} }

// Contexts returns every registered context.
func Contexts() []Context { return append([]Context(nil), registered...) }

// OlderRole returns the role that an older name implies, or "" if it implies none.
func OlderRole(older string) string { return olderRoles[older] }

// MayHold reports whether a context described by inner may open below a context described by c. It is false if either
// is nil.
func (c *Context) MayHold(inner *Context) bool {
	return c != nil && inner != nil && c.below&inner.self != 0
}

// Owns reports whether contexts of this description list the key. It is false if c is nil.
func (c *Context) Owns(k *Key) bool { return c != nil && c.self&k.owners != 0 }

// Interprets reports whether the key has its registered meaning in a context of this description: the context lists the
// key, or the context is not registered (c is nil).
func (c *Context) Interprets(k *Key) bool { return c == nil || c.self&k.owners != 0 }

// IsHandshake reports whether the context is a handshake, which starts a tree unless it was explicitly linked to a
// parent. It is false if c is nil.
func (c *Context) IsHandshake() bool {
	return c != nil && (c.Class == ClassTLSHandshake || c.Class == ClassSSHHandshake)
}

// ClassOf returns the context's class, or ClassOther if c is nil.
func (c *Context) ClassOf() Class {
	if c == nil {
		return ClassOther
	}
	return c.Class
}

var (
	agreementContexts = []string{"pk::generate", "pk::derive", "pk::encapsulate", "pk::decapsulate"}
	signatureKeys     = []string{"pk::algorithm", "pk::curve", "pk::bits", "pk::hash", "pk::rsa_padding"}
	transportKeys     = []string{"pk::algorithm", "pk::bits", "pk::hash", "pk::rsa_padding"}
	sshKeyKeys        = []string{"ssh::key_algorithm", "ssh::cert_signature_algorithm", "ssh::rsa_bits"}
	schemeKeys        = []string{"tls::signature_algorithm"}
)

// registered lists the contexts of the crypto-auditing specification. In addition, a TLS handshake may hold pk contexts
// directly, because GnuTLS opens them there in TLS 1.2. If several open contexts may hold a new one, the innermost
// becomes its parent, so a pk context still opens below an open tls::key_exchange or tls::sign.
var registered = []Context{
	{Name: "pk::sign", Class: ClassSignature, Keys: signatureKeys},
	{Name: "pk::verify", Class: ClassSignature, Keys: signatureKeys},
	{Name: "pk::encrypt", Class: ClassTransport, Keys: transportKeys},
	{Name: "pk::decrypt", Class: ClassTransport, Keys: transportKeys},
	{
		Name: "pk::generate", Class: ClassGenerate,
		Keys: []string{"pk::algorithm", "pk::curve", "pk::group", "pk::bits"},
	},
	{
		Name: "pk::derive", Class: ClassAgreement,
		Keys: []string{"pk::algorithm", "pk::curve", "pk::group", "pk::bits", "pk::static"},
	},
	{
		Name: "pk::encapsulate", Class: ClassAgreement, Keys: []string{"pk::algorithm"},
		Holds: []string{"pk::derive", "pk::encapsulate"},
	},
	{
		Name: "pk::decapsulate", Class: ClassAgreement, Keys: []string{"pk::algorithm"},
		Holds: []string{"pk::derive", "pk::decapsulate"},
	},
	{
		Name: "tls::handshake", Class: ClassTLSHandshake,
		Keys: []string{
			"tls::role", "tls::protocol_version", "tls::ciphersuite", "tls::extended_master_secret",
			"tls::ext::extended_master_secret",
		},
		Holds: append([]string{
			"tls::key_exchange", "tls::sign", "tls::verify", "tls::verify_cert_chain",
			"pk::sign", "pk::verify", "pk::encrypt", "pk::decrypt",
		}, agreementContexts...),
		Older: []string{"tls::handshake_client", "tls::handshake_server"},
	},
	{
		Name: "tls::key_exchange", Class: ClassTLSKeyExchange, Holds: agreementContexts,
		Keys: []string{"tls::group", "tls::key_exchange_algorithm"},
	},
	{
		Name: "tls::sign", Class: ClassTLSSignature, Keys: schemeKeys, Holds: []string{"pk::sign"},
		Older: []string{"tls::certificate_sign"},
	},
	{
		Name: "tls::verify", Class: ClassTLSSignature, Keys: schemeKeys, Holds: []string{"pk::verify"},
		Older: []string{"tls::certificate_verify"},
	},
	{Name: "tls::verify_cert_chain", Holds: []string{"pk::verify"}},
	{
		Name: "ssh::handshake", Class: ClassSSHHandshake,
		Keys:  []string{"ssh::role", "ssh::ident_string", "ssh::peer_ident_string"},
		Holds: []string{"ssh::key_exchange", "ssh::client_key", "ssh::server_key"},
	},
	{
		Name: "ssh::key_exchange", Class: ClassSSHKeyExchange, Holds: agreementContexts,
		Keys: []string{
			"ssh::kex_algorithm", "ssh::kex_group", "ssh::key_algorithm", "ssh::c2s_cipher", "ssh::s2c_cipher",
			"ssh::c2s_mac", "ssh::s2c_mac", "ssh::c2s_compression", "ssh::s2c_compression",
		},
	},
	{Name: "ssh::client_key", Class: ClassSSHKey, Keys: sshKeyKeys, Holds: []string{"pk::sign", "pk::verify"}},
	{Name: "ssh::server_key", Class: ClassSSHKey, Keys: sshKeyKeys, Holds: []string{"pk::sign", "pk::verify"}},
}

// olderRoles maps older names to the roles that they imply.
var olderRoles = map[string]string{"tls::handshake_client": "client", "tls::handshake_server": "server"}

// byName maps registered and older names to descriptions.
var byName = index()

func index() map[string]*Context {
	m := make(map[string]*Context)
	for i := range registered {
		registered[i].self = 1 << i
		m[registered[i].Name] = &registered[i]
	}
	for i := range registered {
		c := &registered[i]
		for _, held := range c.Holds {
			c.below |= m[held].self
		}
		for _, older := range c.Older {
			described := *c
			described.Role = olderRoles[older]
			m[older] = &described
		}
	}
	return m
}

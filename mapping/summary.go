// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/registry"
)

// summary is what a handshake, or a root that is none, amounts to.
type summary struct {
	keyExchange    registry.Status // the negotiated one's
	authentication registry.Status // the least safe signature's
	group          datum           // of the negotiated key exchange; no key: none
	offered        []string        // names of the groups a client made shares for
	offeredSafe    bool            // one of these withstands a quantum computer
	exchanged      bool            // some operation belongs to the negotiated key exchange
	agreed         bool            // a TLS 1.3 key exchange made a secret
	signed         bool            // somebody signed or verified
	verified       datum           // scheme of the peer's signature
	made           datum           // scheme of the own signature
	weak           []string
	downgraded     bool
}

// fold adds a context to the summary of the handshake or root it belongs to. Its children were noticed before.
func (n *node) fold() {
	at := n.summarized()
	if at.judgement.sum == nil {
		at.judgement.sum = &summary{}
	}
	s, j := at.judgement.sum, &n.judgement
	if n.class() != classTLSKeyExchange || j.agreed {
		s.addWeak(j.weak) // what was only offered does no harm
	}
	switch n.class() {
	case classTLSKeyExchange:
		s.foldKeyExchange(n)
	case classSSHKeyExchange:
		s.exchanged = true
		s.keyExchange = worse(s.keyExchange, j.status)
	case classAgreement, classTransport:
		s.exchanged = true
		if n.within(classTLSKeyExchange) == nil && n.within(classSSHKeyExchange) == nil && n.whole() {
			s.keyExchange = worse(s.keyExchange, j.status)
		}
	case classGenerate:
		// A client's key for a share that is only offered says nothing of what was negotiated.
		if kx := n.within(classTLSKeyExchange); kx == nil || kx.judgement.agreed || at.role() != "client" {
			s.exchanged = true
		}
	case classTLSSignature:
		s.signed = true
		s.authentication = worse(s.authentication, j.status)
		if d := n.get(keyTLSSignatureAlgorithm); d != nil {
			if n.schema.name == "tls::verify" {
				s.verified = *d
			} else {
				s.made = *d
			}
		}
	case classSSHKey:
		s.signed = true
		s.authentication = worse(s.authentication, j.status)
	case classSignature:
		s.signed = true
		// Below tls::sign and tls::verify the scheme has said it, unless it is not told.
		if p := n.parent; p == nil || p.judgement.status == registry.NotApplicable {
			s.authentication = worse(s.authentication, j.status)
		}
	default:
	}
}

// whole reports whether n's operation is not a part of another one.
func (n *node) whole() bool {
	return n.parent == nil || n.parent.class() != classAgreement
}

func (s *summary) foldKeyExchange(n *node) {
	j := &n.judgement
	group := n.get(keyTLSGroup)
	if j.agreed {
		s.exchanged, s.agreed = true, true
		s.keyExchange = j.status
		if j.status == registry.NotApplicable {
			s.keyExchange = j.secrets
		}
		if group != nil {
			s.group = *group
		}
	}
	if j.generated && group != nil {
		g := registry.TLSGroup(group.word)
		s.offeredSafe = s.offeredSafe || safe(g.Status)
		if !slices.Contains(s.offered, g.Name) && len(s.offered) < maxOffered {
			if s.offered == nil {
				s.offered = make([]string, 0, 4)
			}
			s.offered = append(s.offered, g.Name)
		}
	}
}

// maxOffered bounds the list of offered groups; TLS libraries make two or three shares.
const maxOffered = 32

func (s *summary) addWeak(reasons []string) {
	for _, reason := range reasons {
		if !slices.Contains(s.weak, reason) {
			s.weak = append(s.weak, reason)
		}
	}
}

// conclude judges the handshake, or the root that is none, when all of it is known.
func (s *summary) conclude(n *node) {
	if n.class() != classTLSHandshake {
		return
	}
	if version, ok := n.word(keyTLSProtocolVersion); ok && beforeTLS13(version) && (s.exchanged || s.signed) {
		s.keyExchange = registry.Classical
	}
	if n.role() != "client" {
		s.offered = nil // a server generates only what it answers with
	}
	s.downgraded = s.offered != nil && s.offeredSafe && s.keyExchange == registry.Classical
}

// beforeTLS13 reports whether a version is older than TLS 1.3 and DTLS 1.3 (0xfefc; DTLS counts downwards, RFC 9147).
func beforeTLS13(version uint64) bool {
	return version < 0x0304 || version>>8 == 0xfe && version > 0xfefc
}

// absorb takes over what a handshake inside the tree amounts to.
func (s *summary) absorb(inner *summary) {
	s.keyExchange = worse(s.keyExchange, inner.keyExchange)
	s.authentication = worse(s.authentication, inner.authentication)
	s.downgraded = s.downgraded || inner.downgraded
	s.addWeak(inner.weak)
}

// appendTo appends the summary's attributes.
func (s *summary) appendTo(attrs []attribute.KeyValue, n *node) []attribute.KeyValue {
	if s.keyExchange != registry.NotApplicable {
		attrs = append(attrs, attrPQCKeyExchange.String(s.keyExchange.String()))
	}
	if s.authentication != registry.NotApplicable {
		attrs = append(attrs, attrPQCAuthentication.String(s.authentication.String()))
	}
	if s.downgraded {
		attrs = append(attrs, attrPQCDowngraded.Bool(true))
	}
	if n.class() != classTLSHandshake {
		return attrs
	}
	if s.group.key != nil {
		attrs = s.group.appendTo(attrs)
	}
	if s.offered != nil {
		attrs = append(attrs, attrTLSGroupsOffered.StringSlice(s.offered))
	}
	switch {
	case s.verified.key != nil:
		attrs = s.verified.appendTo(attrs)
	case s.made.key != nil:
		attrs = s.made.appendTo(attrs)
	}
	if n.get(keyTLSProtocolVersion) != nil && !s.signed && (!s.exchanged || s.agreed) {
		attrs = append(attrs, attrTLSResumed.Bool(true))
	}
	return attrs
}

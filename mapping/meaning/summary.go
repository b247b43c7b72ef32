// SPDX-License-Identifier: Apache-2.0

package meaning

import (
	"slices"

	"github.com/crau-otel/crau-otel/mapping/registry"
	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/mapping/shape"
)

// summary is the result for a whole handshake, or for a root that is not a handshake.
type summary struct {
	keyExchange    registry.Status // until conclude, worst status outside TLS key exchanges; then, status of the whole
	negotiated     registry.Status // status of the TLS key exchanges that made a secret
	inside         registry.Status // worst key exchange status of the handshakes inside the tree
	authentication registry.Status // status of the least safe signature
	group          shape.Datum     // group of the negotiated TLS key exchange; Key is nil if no group was reported
	offered        []string        // names of the groups that the client offered
	offeredSafe    bool            // one of the offered groups withstands a quantum computer
	exchanged      bool            // an operation belongs to the negotiated key exchange
	signed         bool            // a signature was made or verified
	verified       shape.Datum     // scheme of the peer's signature; Key is nil if it was not reported
	made           shape.Datum     // scheme of the program's own signature; Key is nil if it was not reported
	weak           []string
	downgraded     bool
	missing        []string // names of what an incomplete handshake lacks, such as "authentication"
}

// maxOffered is the maximum length of a list of offered groups. TLS libraries generate two or three key shares.
const maxOffered = 32

// summarizer returns the context whose summary includes c: the handshake that c belongs to, else the uppermost context
// that c counts for.
func (c *context) summarizer() *context {
	for c.above != nil && !c.Name.Context.IsHandshake() {
		c = c.above
	}
	return c
}

// summarize adds the judgement of c to the summary of the handshake or root that contains c. reportUpwards must have
// been called for all contexts.
func (c *context) summarize() {
	to := c.summarizer()
	if to.judgement.summary == nil {
		to.judgement.summary = &summary{}
	}
	s, j := to.judgement.summary, &c.judgement
	if c.class() != schema.ClassTLSKeyExchange || j.agreed {
		s.weak = union(s.weak, j.weak) // a weak key share does not count if it was only offered
	}
	switch c.class() {
	case schema.ClassTLSKeyExchange:
		s.addKeyExchange(c, to)
	case schema.ClassSSHKeyExchange:
		s.exchanged = true
		s.keyExchange = worse(s.keyExchange, j.status)
		ofHostKey, _ := c.judgeSSHHostKey()
		s.authentication = worse(s.authentication, ofHostKey)
	case schema.ClassAgreement, schema.ClassTransport:
		s.exchanged = true
		if c.within(schema.ClassTLSKeyExchange) == nil && c.within(schema.ClassSSHKeyExchange) == nil && !c.isPart() {
			s.keyExchange = worse(s.keyExchange, j.status)
		}
	case schema.ClassGenerate:
		// A client also generates keys for shares that the server does not accept.
		if kx := c.within(schema.ClassTLSKeyExchange); kx == nil || kx.judgement.agreed || to.role() != "client" {
			s.exchanged = true
		}
	case schema.ClassTLSSignature:
		s.signed = true
		s.authentication = worse(s.authentication, j.status)
		if d := c.get(schema.KeyTLSSignatureAlgorithm); d != nil {
			if c.Name.Context.Name == "tls::verify" {
				s.verified = *d
			} else {
				s.made = *d
			}
		}
	case schema.ClassSSHKey:
		s.signed = true
		s.authentication = worse(s.authentication, j.status)
	case schema.ClassSignature:
		s.signed = true
		// If the context above has a status itself, as tls::verify has by its signature scheme, that status counts.
		if p := c.above; p == nil || p.judgement.status == registry.NotApplicable {
			s.authentication = worse(s.authentication, j.status)
		}
	default:
	}
}

// isPart reports whether c's operation is part of a key agreement, as pk::derive is of a hybrid pk::encapsulate.
func (c *context) isPart() bool { return c.above != nil && c.above.class() == schema.ClassAgreement }

// addKeyExchange adds the TLS key exchange c to s, the summary of the context of.
func (s *summary) addKeyExchange(c, of *context) {
	j := &c.judgement
	group := c.get(schema.KeyTLSGroup)
	if j.agreed {
		s.exchanged = true
		status := j.status
		if status == registry.NotApplicable {
			status = j.secrets
		}
		if of.class() != schema.ClassTLSHandshake {
			s.negotiated = worse(s.negotiated, status)
		} else if status != registry.NotApplicable {
			s.negotiated = status // the last key exchange of a handshake protects the session
		}
		if group != nil {
			s.group = *group
		}
	}
	if j.generated && group != nil {
		g := registry.TLSGroup(group.Word)
		s.offeredSafe = s.offeredSafe || isSafe(g.Status)
		if !slices.Contains(s.offered, g.Name) && len(s.offered) < maxOffered {
			if s.offered == nil {
				s.offered = make([]string, 0, 4)
			}
			s.offered = append(s.offered, g.Name)
		}
	}
}

// conclude completes c's summary, if c has one, and adds it to the summary of the uppermost context that c counts for,
// which is usually the root.
func (c *context) conclude(evicted bool) {
	s, root := c.judgement.summary, c.top
	if s == nil {
		return
	}
	s.conclude(c)
	s.keyExchange = worse(s.keyExchange, s.inside)
	if c.Name.Context.IsHandshake() && (evicted || c.Incomplete) {
		s.noteMissing(c, evicted)
	}
	if c == root {
		return
	}
	if root.judgement.summary == nil {
		root.judgement.summary = &summary{}
	}
	root.judgement.summary.absorb(s)
}

// conclude sets the final key exchange status and downgraded in s, the summary of c, once everything below c is
// summarized.
func (s *summary) conclude(c *context) {
	if c.class() != schema.ClassTLSHandshake {
		s.keyExchange = worse(s.keyExchange, s.negotiated)
		return
	}
	if s.negotiated != registry.NotApplicable {
		s.keyExchange = s.negotiated
	}
	version, ok := c.word(schema.KeyTLSProtocolVersion)
	suite, _ := c.word(schema.KeyTLSCipherSuite)
	if ok && isBeforeTLS13(version) && (s.exchanged || s.signed) && !registry.TLSCipherSuiteIsPSK(suite) {
		s.keyExchange = registry.Classical
	}
	if c.role() != "client" {
		s.offered = nil // a server generates only the share that it answers with
	}
	s.addOffer(c)
	if s.offered != nil && s.offeredSafe && s.keyExchange == registry.Classical {
		s.downgraded = true // never set to false here: a handshake inside the tree may have set it
	}
}

// noteMissing records what a handshake lacks because some of its events were lost or because its tree was evicted.
// After an eviction, a missing status becomes Unknown: the library may have reported it later.
func (s *summary) noteMissing(c *context, evicted bool) {
	if c.class() == schema.ClassTLSHandshake && c.get(schema.KeyTLSProtocolVersion) == nil {
		s.missing = append(s.missing, "protocol_version")
	}
	for _, part := range []struct {
		status *registry.Status
		name   string
	}{{&s.keyExchange, "key_exchange"}, {&s.authentication, "authentication"}} {
		if *part.status != registry.NotApplicable {
			continue
		}
		s.missing = append(s.missing, part.name)
		if evicted {
			*part.status = registry.Unknown
		}
	}
}

// isBeforeTLS13 reports whether a version is known to be older than TLS 1.3 and DTLS 1.3.
func isBeforeTLS13(version uint64) bool {
	v := registry.TLSVersion(version)
	return v.Protocol != "" && v.Name != "1.3"
}

// absorb adds the summary of a handshake inside the tree to the root's summary s.
func (s *summary) absorb(inner *summary) {
	s.inside = worse(s.inside, inner.keyExchange)
	s.authentication = worse(s.authentication, inner.authentication)
	s.downgraded = s.downgraded || inner.downgraded
	s.weak = union(s.weak, inner.weak)
}

// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"github.com/crau-otel/crau-otel/tracer/event"
	"github.com/crau-otel/crau-otel/wire/hello"
)

// emitted records which events of a connection were emitted, and whether its outcome was counted in Stats.
type emitted struct {
	root, answer, keyExchange, proof, alert, counted bool
}

// Upper bits of a context's id, which distinguish the contexts of a connection. The lower bits are the socket's cookie.
const (
	contextRoot        = 1 << 60
	contextKeyExchange = 2 << 60
	contextProof       = 3 << 60
)

// Codepoints of tls::key_exchange_algorithm.
const (
	kxECDHE = 0
	kxDHE   = 1
)

const (
	version12 = 0x0303
	version13 = 0x0304
)

// emit emits events for everything that is new on the connection since the last call.
func (s *Sensor) emit(c *connection) {
	if c.conn.Protocol == hello.ProtocolSSH {
		s.emitSSH(c)
	} else {
		s.emitTLS(c)
	}
}

func (s *Sensor) emitTLS(c *connection) {
	t := &c.conn.TLS
	if t.ClientHello == nil {
		return
	}
	if !c.emitted.root {
		c.emitted.root = true
		s.begin(event.NewContext, c, contextRoot, c.started)
		s.text("name", "tls::handshake")
		s.text("tls::role", c.role())
		s.send()
	}
	if t.ServerHello != nil && !c.emitted.answer {
		c.emitted.answer = true
		s.begin(event.Data, c, contextRoot, c.last)
		s.offer(t)
		s.word("tls::protocol_version", uint64(t.ServerHello.Version))
		s.word("tls::ciphersuite", uint64(t.ServerHello.Suite))
		if t.ServerHello.Version < version13 {
			s.word("tls::extended_master_secret", number(t.ServerHello.ExtendedMasterSecret))
		}
		if t.Retry != nil {
			s.word("tls::retried", 1)
		}
		s.send()
	}
	if t.ServerHello != nil {
		s.emitKeyExchange(c)
	}
	if t.Alert != nil && !c.emitted.alert {
		c.emitted.alert = true
		s.begin(event.Data, c, contextRoot, c.last)
		if !c.emitted.answer {
			s.offer(t)
		}
		s.text("tls::alert_side", alertSide(t.Alert.From))
		if !t.Alert.Encrypted {
			s.word("tls::alert", uint64(t.Alert.Description))
		}
		s.send()
	}
}

// offer adds the pairs that describe what the client offered in its first ClientHello.
func (s *Sensor) offer(t *hello.TLS) {
	first := t.ClientHello
	if t.FirstHello != nil {
		first = t.FirstHello
	}
	s.codepoints("tls::offered_groups", first.Groups)
	s.codepoints("tls::offered_shares", first.Shares)
	if first.ECH {
		s.word("tls::ech_offered", 1)
	}
}

// emitKeyExchange emits a context for the key exchange once its result is known. If it is also known whether the session
// was resumed, that is emitted, too. A signed key exchange of TLS 1.2 gets a second context, for its signature.
func (s *Sensor) emitKeyExchange(c *connection) {
	t := &c.conn.TLS
	h := t.ServerHello
	switch {
	case c.emitted.keyExchange:
	case h.Version == version13:
		c.emitted.keyExchange = true
		if h.HasGroup {
			s.begin(event.NewContext, c, contextKeyExchange, c.last)
			s.text("name", "tls::key_exchange")
			s.word("tls::group", uint64(h.Group))
			s.word("tls::negotiated", 1)
			s.send()
		}
		s.resumed(c)
	case t.Resumed:
		c.emitted.keyExchange = true
		s.resumed(c)
	case t.KeyExchange != nil, t.ClientKeyExchange:
		c.emitted.keyExchange = true
		s.begin(event.NewContext, c, contextKeyExchange, c.last)
		s.text("name", "tls::key_exchange")
		switch kx := t.KeyExchange; {
		case kx == nil:
		case kx.Group != 0:
			s.word("tls::group", uint64(kx.Group))
			s.word("tls::key_exchange_algorithm", kxECDHE)
		default:
			s.word("tls::key_exchange_algorithm", kxDHE)
			s.word("tls::prime_bits", uint64(kx.PrimeBits))
		}
		s.word("tls::negotiated", 1)
		s.send()
	}
	if t.KeyExchange != nil && t.KeyExchange.Scheme != 0 && t.ClientKeyExchange && !c.emitted.proof {
		c.emitted.proof = true
		name := "tls::verify"
		if c.egress == hello.FromServer {
			name = "tls::sign"
		}
		s.begin(event.NewContext, c, contextProof, c.last)
		s.text("name", name)
		s.word("tls::signature_algorithm", uint64(t.KeyExchange.Scheme))
		s.send()
	}
}

// resumed emits whether the handshake resumes an earlier session.
func (s *Sensor) resumed(c *connection) {
	s.begin(event.Data, c, contextRoot, c.last)
	s.word("tls::resumed", number(c.conn.TLS.Resumed))
	s.send()
}

func (s *Sensor) emitSSH(c *connection) {
	t := &c.conn.SSH
	ownIdent, peer := t.ClientIdent, t.ServerIdent
	if c.egress == hello.FromServer {
		ownIdent, peer = peer, ownIdent
	}
	if ownIdent == "" || peer == "" {
		return
	}
	if !c.emitted.root {
		c.emitted.root = true
		s.begin(event.NewContext, c, contextRoot, c.started)
		s.text("name", "ssh::handshake")
		s.text("ssh::role", c.role())
		s.text("ssh::ident_string", ownIdent)
		s.text("ssh::peer_ident_string", peer)
		s.send()
	}
	if t.Client == nil || t.Server == nil || c.emitted.keyExchange {
		return
	}
	c.emitted.keyExchange = true
	n := hello.Negotiate(t.Client, t.Server)
	s.begin(event.NewContext, c, contextKeyExchange, c.last)
	s.text("name", "ssh::key_exchange")
	for _, pair := range [][2]string{
		{"ssh::kex_algorithm", n.Kex},
		{"ssh::key_algorithm", n.HostKey},
		{"ssh::c2s_cipher", n.CipherC2S},
		{"ssh::s2c_cipher", n.CipherS2C},
		{"ssh::c2s_mac", n.MACC2S},
		{"ssh::s2c_mac", n.MACS2C},
		{"ssh::c2s_compression", n.CompressionC2S},
		{"ssh::s2c_compression", n.CompressionS2C},
	} {
		if pair[1] != "" {
			s.text(pair[0], pair[1])
		}
	}
	s.send()
}

// emitEnd emits the end of a connection. A ClientHello without an answer is reported as a failed handshake only if a
// side closed the connection or violated the protocol, and if no message was cut off.
func (s *Sensor) emitEnd(c *connection) {
	if t := &c.conn.TLS; c.conn.Protocol == hello.ProtocolTLS && !c.emitted.answer && !c.emitted.alert {
		s.begin(event.Data, c, contextRoot, c.last)
		s.offer(t)
		over := c.closed[0] || c.closed[1] || c.conn.State() == hello.StateMalformed
		if over && !c.cut && c.conn.State() != hello.StateTooLong {
			s.word("tls::unanswered", 1)
		}
		s.send()
	}
	s.begin(event.ContextEnd, c, contextRoot, c.last)
	s.send()
}

// begin starts an event of one of a connection's contexts.
func (s *Sensor) begin(kind event.Kind, c *connection, context, time uint64) {
	s.pairs, s.bytesOfPairs = s.pairs[:0], s.bytesOfPairs[:0]
	s.event = event.Event{
		Kind: kind, Time: time, Context: context | c.socket, Parent: event.NoParent, PID: c.pid, TID: c.tid, File: event.Wire,
	}
	if kind == event.NewContext && context != contextRoot {
		s.event.Parent = contextRoot | c.socket
	}
}

func (s *Sensor) send() {
	s.event.Pairs = s.pairs
	s.cfg.Emit(&s.event)
}

func (s *Sensor) word(key string, value uint64) {
	s.pairs = append(s.pairs, event.Pair{Key: s.bytesOf(key), Type: event.Word, Word: value})
}

// bytesOf returns a text as bytes, which are valid until the next event begins.
func (s *Sensor) bytesOf(text string) []byte {
	start := len(s.bytesOfPairs)
	s.bytesOfPairs = append(s.bytesOfPairs, text...)
	return s.bytesOfPairs[start:len(s.bytesOfPairs):len(s.bytesOfPairs)]
}

// maxText is the longest value in bytes that the BPF program reads from a library. The sensor applies the same limit.
const maxText = 256

func (s *Sensor) text(key, value string) {
	p := event.Pair{Key: s.bytesOf(key), Type: event.String, Value: s.bytesOf(value)}
	if len(value) > maxText {
		p.Value, p.Flags = p.Value[:maxText], event.Cut
		s.event.Flags |= event.Cut
	}
	s.pairs = append(s.pairs, p)
}

// codepoints adds a list of 16-bit numbers as a blob, in network byte order.
func (s *Sensor) codepoints(key string, ids []uint16) {
	if len(ids) == 0 {
		return
	}
	start := len(s.bytesOfPairs)
	for _, id := range ids[:min(len(ids), maxText/2)] {
		s.bytesOfPairs = append(s.bytesOfPairs, byte(id>>8), byte(id))
	}
	value := s.bytesOfPairs[start:len(s.bytesOfPairs):len(s.bytesOfPairs)]
	s.pairs = append(s.pairs, event.Pair{Key: s.bytesOf(key), Type: event.Blob, Value: value, Word: uint64(2 * len(ids))})
}

// role returns the role of this host's process in the handshake.
func (c *connection) role() string {
	if c.egress == hello.FromClient {
		return "client"
	}
	return "server"
}

func alertSide(d hello.Direction) string {
	if d == hello.FromClient {
		return "client"
	}
	return "server"
}

func number(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

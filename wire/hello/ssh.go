// SPDX-License-Identifier: Apache-2.0

package hello

import (
	"bytes"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// SSH contains what the two sides of an SSH connection have sent in the clear. Fields are nil or empty until the
// message is seen.
type SSH struct {
	ClientIdent string // the client's version string, without its end of line
	ServerIdent string // the server's version string, without its end of line
	Client      *KexInit
	Server      *KexInit
}

// KexInit is the SSH_MSG_KEXINIT of one side (RFC 4253, 7.1). Lists are in the side's order of preference.
type KexInit struct {
	Kex, HostKey                   []string
	CipherC2S, CipherS2C           []string
	MACC2S, MACS2C                 []string
	CompressionC2S, CompressionS2C []string
}

// Negotiated is the result of comparing the lists of both sides. A field is empty if the two lists have nothing in
// common.
type Negotiated struct {
	Kex, HostKey                   string
	CipherC2S, CipherS2C           string
	MACC2S, MACS2C                 string // empty if the cipher includes a MAC
	CompressionC2S, CompressionS2C string
}

const (
	maxIdent      = 255   // RFC 4253, 4.2
	maxIdentLines = 64    // lines that a server may send before its version string
	messageKex    = 20    // SSH_MSG_KEXINIT
	maxPacket     = 35000 // RFC 4253, 6.1
)

// Negotiate returns what both sides use: for each list, the client's first entry that the server also has (RFC 4253,
// 7.1).
func Negotiate(client, server *KexInit) Negotiated {
	n := Negotiated{
		Kex:            common(client.Kex, server.Kex),
		HostKey:        common(client.HostKey, server.HostKey),
		CipherC2S:      common(client.CipherC2S, server.CipherC2S),
		CipherS2C:      common(client.CipherS2C, server.CipherS2C),
		CompressionC2S: common(client.CompressionC2S, server.CompressionC2S),
		CompressionS2C: common(client.CompressionS2C, server.CompressionS2C),
	}
	if !authenticates(n.CipherC2S) {
		n.MACC2S = common(client.MACC2S, server.MACC2S)
	}
	if !authenticates(n.CipherS2C) {
		n.MACS2C = common(client.MACS2C, server.MACS2C)
	}
	return n
}

func common(client, server []string) string {
	for _, name := range client {
		for _, other := range server {
			if name == other {
				return name
			}
		}
	}
	return ""
}

// authenticates reports whether a cipher includes a MAC, so that no separate MAC is negotiated.
func authenticates(cipher string) bool {
	name, _, _ := strings.Cut(cipher, "@")
	return name == "chacha20-poly1305" || strings.HasSuffix(name, "-gcm") || strings.HasPrefix(name, "AEAD_")
}

// decodeSSH decodes both sides as far as they are complete.
func (c *Conn) decodeSSH() {
	t := &c.SSH
	c.decodeSSHSide(FromClient, &t.ClientIdent, &t.Client)
	c.decodeSSHSide(FromServer, &t.ServerIdent, &t.Server)
	if c.state == StateOpen && t.Client != nil && t.Server != nil {
		c.state = StateComplete
	}
}

// decodeSSHSide decodes a side's version string and its first packet, the SSH_MSG_KEXINIT.
func (c *Conn) decodeSSHSide(d Direction, ident *string, kex **KexInit) {
	s := &c.sides[d]
	for lines := 0; *ident == "" && c.state == StateOpen; lines++ {
		b := s.bytes()[s.read:]
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			if len(b) > maxIdent {
				c.state = StateMalformed
			}
			return
		}
		line := strings.TrimSuffix(string(b[:end]), "\r")
		s.read += end + 1
		switch {
		case strings.HasPrefix(line, "SSH-2.0-"), strings.HasPrefix(line, "SSH-1.99-"):
			*ident = strings.ToValidUTF8(line, "?")
		case strings.HasPrefix(line, "SSH-"), d == FromClient, lines >= maxIdentLines, len(line) > maxIdent:
			c.state = StateMalformed // only a server may send other lines first
			return
		}
	}
	if *kex != nil || c.state != StateOpen {
		return
	}
	b := cryptobyte.String(s.bytes()[s.read:])
	var length uint32
	if !b.ReadUint32(&length) {
		return
	}
	if length < 2 || length > maxPacket {
		c.state = StateMalformed
		return
	}
	if len(b) < int(length) {
		return
	}
	if *kex = parseKexInit(b[:length]); *kex == nil {
		c.state = StateMalformed
		return
	}
	s.read += 4 + int(length)
	s.sealed = true // the following messages are not needed, so they may be cut off
}

// parseKexInit parses a packet without its length. It returns nil if the packet is malformed.
func parseKexInit(packet cryptobyte.String) *KexInit {
	var padding, typ uint8
	if !packet.ReadUint8(&padding) || int(padding) > len(packet) {
		return nil
	}
	packet = packet[:len(packet)-int(padding)]
	if !packet.ReadUint8(&typ) || typ != messageKex || !packet.Skip(16) {
		return nil
	}
	k := &KexInit{}
	var languages []string
	for _, list := range []*[]string{
		&k.Kex, &k.HostKey, &k.CipherC2S, &k.CipherS2C, &k.MACC2S, &k.MACS2C, &k.CompressionC2S, &k.CompressionS2C,
		&languages, &languages,
	} {
		var n uint32
		var text []byte
		if !packet.ReadUint32(&n) || int(n) > len(packet) || !packet.ReadBytes(&text, int(n)) {
			return nil
		}
		if n > 0 {
			*list = strings.Split(strings.ToValidUTF8(string(text), "?"), ",")
		}
	}
	return k
}

// SPDX-License-Identifier: Apache-2.0

package hello

// Direction is a direction of a connection.
type Direction uint8

// The directions.
const (
	FromClient Direction = iota // from the side that sends the ClientHello
	FromServer                  // from the other side
)

// Opposite returns the other direction.
func (d Direction) Opposite() Direction { return 1 - d }

// Protocol is what a connection speaks.
type Protocol uint8

// The protocols.
const (
	ProtocolTLS Protocol = iota + 1 // SSL 3.0 to TLS 1.3
	ProtocolSSH                     // SSH 2.0
)

// State is the state of decoding a connection's opening.
type State uint8

const (
	// StateOpen means that more may come.
	StateOpen State = iota
	// StateComplete means that all that travels in the clear was seen: the rest is encrypted.
	StateComplete
	// StateFailed means that one side gave up with an alert.
	StateFailed
	// StateMalformed means that bytes came that the protocol does not allow.
	StateMalformed
	// StateTooLong means that the opening does not fit MaxBytes, or came in too many pieces.
	StateTooLong
)

// Conn decodes the opening of one connection. It is for use by one goroutine.
type Conn struct {
	Protocol Protocol
	TLS      TLS // of ProtocolTLS
	SSH      SSH // of ProtocolSSH

	state State
	sides [2]side
}

// side is one direction of a Conn.
type side struct {
	stream
	read     int    // bytes of the stream that were decoded
	messages []byte // TLS: handshake messages that came in records and are not decoded
	sealed   bool   // TLS: what comes now is encrypted
}

// NewConn returns a connection of which nothing was seen.
func NewConn(p Protocol) *Conn { return &Conn{Protocol: p} }

// State returns how far the connection is known.
func (c *Conn) State() State { return c.state }

// Start sets the sequence number at which a direction's protocol begins. Otherwise it is that of the first segment.
func (c *Conn) Start(d Direction, seq uint32) { c.sides[d].start(seq) }

// Encrypted reports whether all that a direction sends in the clear was seen.
func (c *Conn) Encrypted(d Direction) bool { return c.sides[d].sealed }

// HasHello reports whether there is anything to report: a ClientHello, or both version strings of SSH.
func (c *Conn) HasHello() bool {
	return c.TLS.ClientHello != nil || c.SSH.ClientIdent != "" && c.SSH.ServerIdent != ""
}

// Size returns how many bytes the connection keeps.
func (c *Conn) Size() int {
	n := 0
	for i := range c.sides {
		n += cap(c.sides[i].buf) + cap(c.sides[i].messages)
	}
	return n
}

// Add takes the payload of a segment, and decodes what is complete. Data is not kept.
func (c *Conn) Add(d Direction, seq uint32, data []byte) State {
	if c.state != StateOpen {
		return c.state
	}
	c.sides[d].add(seq, data)
	switch c.Protocol {
	case ProtocolTLS:
		c.decodeTLS()
	case ProtocolSSH:
		c.decodeSSH()
	}
	// A stream that was cut can still complete with what is there.
	if s := &c.sides[d]; c.state == StateOpen && s.cut && !s.sealed {
		c.state = StateTooLong
	}
	return c.state
}

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

// Protocol is the protocol of a connection.
type Protocol uint8

// The protocols.
const (
	ProtocolTLS Protocol = iota + 1 // SSL 3.0 to TLS 1.3
	ProtocolSSH                     // SSH 2.0
)

// State is the state of decoding a connection's opening.
type State uint8

const (
	// StateOpen means that more messages may follow.
	StateOpen State = iota
	// StateComplete means that everything that is sent in the clear was seen. The rest is encrypted.
	StateComplete
	// StateFailed means that one side gave up with an alert.
	StateFailed
	// StateMalformed means that the connection violated the protocol.
	StateMalformed
	// StateTooLong means that the opening exceeds MaxBytes, or arrived with too many gaps.
	StateTooLong
)

// Conn decodes the opening of one connection. It is not safe for concurrent use.
type Conn struct {
	Protocol Protocol
	TLS      TLS // set with ProtocolTLS
	SSH      SSH // set with ProtocolSSH

	state State
	sides [2]side
}

// side is one direction of a Conn.
type side struct {
	stream
	read     int    // number of bytes of the stream that were decoded so far
	messages []byte // TLS: bytes of handshake messages that are not decoded yet
	sealed   bool   // no further bytes are needed; with TLS, they are encrypted
}

// NewConn returns a connection of which nothing has been seen.
func NewConn(p Protocol) *Conn { return &Conn{Protocol: p} }

// State returns the state of decoding the connection.
func (c *Conn) State() State { return c.state }

// Start sets the sequence number at which a direction's protocol begins. The default is the sequence number of the
// first segment.
func (c *Conn) Start(d Direction, seq uint32) { c.sides[d].start(seq) }

// Encrypted reports whether everything that a direction sends in the clear was seen.
func (c *Conn) Encrypted(d Direction) bool { return c.sides[d].sealed }

// HasHello reports whether enough was decoded to report the connection: a ClientHello, or both version strings of SSH.
func (c *Conn) HasHello() bool {
	return c.TLS.ClientHello != nil || c.SSH.ClientIdent != "" && c.SSH.ServerIdent != ""
}

// Size returns how many bytes of memory the connection uses to keep segments and messages.
func (c *Conn) Size() int {
	n := 0
	for i := range c.sides {
		n += cap(c.sides[i].buf) + cap(c.sides[i].messages)
	}
	return n
}

// Add adds the payload of a segment, and decodes all complete messages. The caller may reuse data after the call.
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
	// Dropped bytes do not matter if the direction's messages are complete without them.
	if s := &c.sides[d]; c.state == StateOpen && s.cut && !s.sealed {
		c.state = StateTooLong
	}
	return c.state
}

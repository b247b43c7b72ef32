// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"container/list"
	"errors"
	"time"

	"github.com/crau-otel/crau-otel/tracer/event"
	"github.com/crau-otel/crau-otel/wire/hello"
)

// Config configures a Sensor. The zero value of a field means its default.
type Config struct {
	// Emit is called with each event. The event and its pairs are reused after the call. Required.
	Emit func(*event.Event)
	// MaxConnections is the largest number of connections that are followed at the same time. Over the limit, the oldest
	// connection of the owner with the most connections is dropped. Default 4096.
	MaxConnections int
	// MaxBytes is the largest number of bytes of data that are kept for all connections. Over the limit, the oldest
	// connection of the owner with the most bytes is dropped. Default 16 MiB.
	MaxBytes int
	// Evicted, if set, is called with the cgroup and the user of each connection that is counted as evicted.
	Evicted func(cgroup uint64, uid uint32)
	// Timeout is how long a connection may take until it is encrypted. Default 30 s.
	Timeout time.Duration
}

// Stats counts connections by their outcome. Connections is the sum of the other fields, plus the connections that are
// still followed although events of them were emitted.
type Stats struct {
	Connections uint64 // connections that opened with TLS or SSH
	Reported    uint64 // no longer followed, and events of them were emitted
	Unanswered  uint64 // closed or timed out before the process sent anything, or before the hello was complete
	Malformed   uint64 // neither TLS nor SSH, as later packets showed
	TooLong     uint64 // the hello is longer than the part that the sensor examines
	Evicted     uint64 // dropped because a limit of the sensor was reached
	Foreign     uint64 // opened by processes that are not observed: see event.Packet
	Open        uint64 // still followed, and no events of them were emitted yet
}

// owner identifies whose share of the limits a connection counts against.
type owner struct {
	cgroup uint64
	uid    uint32
}

// share is one owner's use of the limits.
type share struct {
	connections *list.List // of *connection, oldest first
	bytes       int        // bytes of data kept for these connections
}

// Sensor follows connections. It is not safe for concurrent use.
type Sensor struct {
	cfg         Config
	connections map[uint64]*connection // by the socket's cookie
	oldest      *list.List             // of *connection, oldest first
	shares      map[owner]*share
	bytes       int // bytes of data kept for all connections
	stats       Stats

	// The event under construction, its pairs, and the bytes of the pairs' keys and values. Every event reuses them.
	event        event.Event
	pairs        []event.Pair
	bytesOfPairs []byte
}

// connection is the connection of one socket.
type connection struct {
	socket  uint64
	owner   owner
	conn    *hello.Conn     // nil until the connection's first packet arrives
	egress  hello.Direction // direction in which this host sends
	early   []segment       // packets that arrived before the connection's first one
	pid     uint32          // 0 until the process is known
	tid     uint32
	started uint64  // boot time of the connection's first packet, ns; 0 until it arrives
	last    uint64  // boot time of the latest packet, ns
	closed  [2]bool // directions that have ended
	over    [2]bool // directions of which the kernel sends no more packets
	cut     bool    // a direction is over although its unencrypted messages are incomplete
	emitted emitted
	bytes   int           // bytes of data kept for this connection
	age     *list.Element // element of Sensor.oldest
	share   *list.Element // element of share.connections
}

// segment is a packet that arrived before the connection's first one.
type segment struct {
	flags event.PacketFlags
	seq   uint32
	data  []byte
}

// maxEarly is the largest number of packets per connection that are kept although they arrived before its first one.
const maxEarly = 8

// New returns a Sensor without connections.
func New(cfg Config) (*Sensor, error) {
	if cfg.Emit == nil {
		return nil, errors.New("wire: Emit is required")
	}
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = 4096
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 16 << 20
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	return &Sensor{
		cfg: cfg, connections: make(map[uint64]*connection), oldest: list.New(), shares: make(map[owner]*share),
	}, nil
}

// Stats returns the counters.
func (s *Sensor) Stats() Stats {
	stats := s.stats
	for _, c := range s.connections {
		if c.conn != nil && !c.emitted.root {
			stats.Open++
		}
	}
	return stats
}

// Packet processes one packet.
func (s *Sensor) Packet(p *event.Packet) {
	c := s.connections[p.Socket]
	if p.Flags&(event.StartsTLS|event.StartsSSH) != 0 {
		if c != nil && c.conn != nil { // the socket was reused for another connection
			s.end(c)
			c = nil
		}
		if c == nil {
			c = s.open(p)
		}
		s.start(c, p)
	}
	if c == nil {
		if p.Flags&event.Early == 0 {
			return // the connection was reported or dropped
		}
		c = s.open(p)
	}
	c.last = p.Time
	if p.Flags&event.Owned != 0 && c.pid == 0 {
		if p.Foreign {
			s.drop(c, &s.stats.Foreign)
			return
		}
		c.pid, c.tid = p.PID, p.TID
	}
	if c.conn == nil {
		if len(c.early) < maxEarly {
			c.early = append(c.early, segment{p.Flags, p.Seq, append([]byte(nil), p.Payload...)})
		}
		s.account(c)
		return
	}
	c.add(p.Flags, p.Seq, p.Payload)
	d := c.direction(p.Flags)
	c.over[d] = c.over[d] || p.Flags&(event.Close|event.Last) != 0
	if p.Flags&event.Close != 0 {
		c.closed[d] = true
		if p.Flags&event.Reset != 0 {
			c.closed, c.over = [2]bool{true, true}, [2]bool{true, true}
		}
	} else if p.Flags&event.Last != 0 {
		c.cut = c.cut || !c.conn.Encrypted(d)
	}
	if c.pid != 0 {
		s.emit(c)
	}
	if c.conn.State() != hello.StateOpen || c.over[0] && c.over[1] || c.cut && !c.conn.HasHello() {
		s.end(c)
		return
	}
	s.account(c)
}

// account updates the number of bytes that are kept, after a connection has changed. It evicts connections while
// MaxBytes is exceeded.
func (s *Sensor) account(c *connection) {
	size := 0
	if c.conn != nil {
		size = c.conn.Size()
	}
	for _, e := range c.early {
		size += len(e.data)
	}
	s.shares[c.owner].bytes += size - c.bytes
	s.bytes += size - c.bytes
	c.bytes = size
	for s.bytes > s.cfg.MaxBytes {
		s.evict(func(sh *share) int { return sh.bytes })
	}
}

// start begins to decode a connection at its first packet, and adds the packets that arrived earlier.
func (s *Sensor) start(c *connection, p *event.Packet) {
	s.stats.Connections++
	c.started = p.Time
	sent := p.Flags&event.Egress != 0
	if p.Flags&event.StartsSSH != 0 {
		c.conn = hello.NewConn(hello.ProtocolSSH)
		c.egress = side(p.Flags&event.Connected != 0)
		c.conn.Start(c.direction(p.Flags), p.Seq)
	} else {
		c.conn = hello.NewConn(hello.ProtocolTLS)
		c.egress = side(sent)
		c.conn.Start(hello.FromClient, p.StartSeq)
		c.conn.Add(hello.FromClient, p.StartSeq, p.Prefix)
	}
	c.conn.Start(c.direction(p.Flags).Opposite(), p.PeerSeq)
	for _, e := range c.early {
		c.add(e.flags, e.seq, e.data)
	}
	c.early = nil
}

// side returns the direction in which a client, or a server, sends.
func side(client bool) hello.Direction {
	if client {
		return hello.FromClient
	}
	return hello.FromServer
}

func (c *connection) direction(flags event.PacketFlags) hello.Direction {
	if flags&event.Egress != 0 {
		return c.egress
	}
	return c.egress.Opposite()
}

func (c *connection) add(flags event.PacketFlags, seq uint32, data []byte) {
	if len(data) > 0 {
		c.conn.Add(c.direction(flags), seq, data)
	}
}

// Tick ends connections that have timed out by the boot time now (ns).
func (s *Sensor) Tick(now uint64) {
	for e := s.oldest.Front(); e != nil; e = s.oldest.Front() {
		c := e.Value.(*connection)
		if c.opened()+uint64(s.cfg.Timeout) > now {
			return
		}
		s.end(c)
	}
}

// Flush ends all connections.
func (s *Sensor) Flush() {
	for e := s.oldest.Front(); e != nil; e = s.oldest.Front() {
		s.end(e.Value.(*connection))
	}
}

func (c *connection) opened() uint64 {
	if c.started != 0 {
		return c.started
	}
	return c.last
}

// open starts to follow a connection, and evicts another one if there are too many.
func (s *Sensor) open(p *event.Packet) *connection {
	for len(s.connections) >= s.cfg.MaxConnections {
		s.evict(func(sh *share) int { return sh.connections.Len() })
	}
	c := &connection{socket: p.Socket, owner: owner{p.CgroupID, p.UID}, last: p.Time}
	s.connections[p.Socket] = c
	c.age = s.oldest.PushBack(c)
	sh := s.shares[c.owner]
	if sh == nil {
		sh = &share{connections: list.New()}
		s.shares[c.owner] = sh
	}
	c.share = sh.connections.PushBack(c)
	return c
}

// evict drops the oldest connection of the owner for which amount is largest.
func (s *Sensor) evict(amount func(*share) int) {
	var most *share
	for _, sh := range s.shares {
		if most == nil || amount(sh) > amount(most) {
			most = sh
		}
	}
	c, before := most.connections.Front().Value.(*connection), s.stats.Evicted
	s.drop(c, &s.stats.Evicted)
	if s.stats.Evicted > before && s.cfg.Evicted != nil {
		s.cfg.Evicted(c.owner.cgroup, c.owner.uid)
	}
}

// drop stops following a connection. It increments reason unless events of the connection were emitted.
func (s *Sensor) drop(c *connection, reason *uint64) {
	if c.conn != nil && !c.emitted.root {
		*reason++
		c.emitted.counted = true
	}
	s.end(c)
}

// end stops following a connection, and counts its outcome.
func (s *Sensor) end(c *connection) {
	delete(s.connections, c.socket)
	s.oldest.Remove(c.age)
	sh := s.shares[c.owner]
	sh.connections.Remove(c.share)
	sh.bytes -= c.bytes
	s.bytes -= c.bytes
	if sh.connections.Len() == 0 {
		delete(s.shares, c.owner)
	}
	switch {
	case c.conn == nil, c.emitted.counted:
	case c.emitted.root:
		s.emitEnd(c)
		s.stats.Reported++
	case c.conn.State() == hello.StateMalformed:
		s.stats.Malformed++
	case c.conn.State() == hello.StateTooLong, c.cut:
		s.stats.TooLong++
	default:
		s.stats.Unanswered++
	}
}

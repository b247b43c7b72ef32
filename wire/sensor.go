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
	// MaxConnections bounds the connections that are followed at the same time. Over the limit, the oldest connection of
	// the owner with the most connections is dropped. Default 4096.
	MaxConnections int
	// MaxBytes bounds the data that is kept for all connections. Over the limit, the oldest connection of the owner with
	// the most bytes is dropped. Default 16 MiB.
	MaxBytes int
	// Evicted, if set, is called with the cgroup and the user of each connection that is counted as evicted.
	Evicted func(cgroup uint64, uid uint32)
	// Timeout is how long a connection may take until it is encrypted. Default 30 s.
	Timeout time.Duration
}

// Stats counts connections by their outcome. Connections is the sum of the other fields.
type Stats struct {
	Connections uint64 // connections that opened with TLS or SSH
	Reported    uint64 // emitted, at least in part
	Unanswered  uint64 // closed or timed out before their process sent anything, or before the hello was complete
	Malformed   uint64 // neither TLS nor SSH, as later packets showed
	TooLong     uint64 // the hello exceeds the part that is examined
	Evicted     uint64 // dropped because a limit of the sensor was reached
	Foreign     uint64 // of processes that are not observed: see event.Packet
	Open        uint64 // followed now, and not emitted yet
}

// owner is what a connection counts against when limits are shared.
type owner struct {
	cgroup uint64
	uid    uint32
}

// share is one owner's use of the limits.
type share struct {
	connections *list.List // of *connection, oldest first
	bytes       int
}

// Sensor follows connections. It is for use by one goroutine.
type Sensor struct {
	cfg         Config
	connections map[uint64]*connection // by socket
	oldest      *list.List             // of *connection
	shares      map[owner]*share
	bytes       int // of data, for all connections
	stats       Stats

	// The event under construction, its pairs, and the bytes of their keys and values. They are reused.
	event        event.Event
	pairs        []event.Pair
	bytesOfPairs []byte
}

// connection is the connection of one socket.
type connection struct {
	socket  uint64
	owner   owner
	conn    *hello.Conn // nil until a packet that is not early arrives
	egress  hello.Direction
	early   []segment
	pid     uint32
	tid     uint32
	started uint64 // boot time of the hello, ns
	last    uint64 // boot time of the latest packet
	closed  [2]bool
	over    [2]bool // the kernel sends no more packets of a direction
	cut     bool    // the same, and the messages of the direction are incomplete
	emitted emitted
	bytes   int           // of data, for this connection
	age     *list.Element // in Sensor.oldest
	share   *list.Element // in share.connections
}

// segment is a packet that arrived before the connection's first one.
type segment struct {
	flags event.PacketFlags
	seq   uint32
	data  []byte
}

// maxEarly bounds the packets per connection that arrived before the first one and are kept.
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

// account adds the data of a connection to the sum, and evicts connections if the sum is too large.
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

// start begins to decode a connection.
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

// evict drops the oldest connection of the owner with the largest amount.
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

// drop stops following a connection. It increments reason unless the connection was emitted.
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

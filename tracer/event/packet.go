// SPDX-License-Identifier: Apache-2.0

package event

// PacketFlags describe a packet.
type PacketFlags uint16

const (
	// Egress marks a packet that was sent, not received.
	Egress PacketFlags = 1 << iota
	// StartsTLS marks the packet in which a ClientHello was recognized.
	StartsTLS
	// StartsSSH marks a packet that is the first of its direction and starts with an SSH version string.
	StartsSSH
	// Early marks a packet that arrived before its connection's first one. It may be neither TLS nor SSH.
	Early
	// Close marks a packet that ends its direction (FIN) or the connection (RST).
	Close
	// Last marks the last packet of its direction that is sent to user space: the following ones are encrypted, or a limit
	// was reached.
	Last
	// Owned marks a packet whose process and thread are known.
	Owned
	// Connected marks a packet of a socket that connected to its peer. Other sockets accepted the connection.
	Connected
	// Reset marks a packet that ends both directions (RST).
	Reset
)

// Packet is a packet of a connection that opens with TLS or SSH. Its slices are valid until the handler returns.
type Packet struct {
	Time     uint64 // CLOCK_BOOTTIME, ns
	Socket   uint64 // the socket's cookie
	CgroupID uint64 // cgroup of the socket, in the version 2 hierarchy
	UID      uint32 // user of the socket, in the initial user namespace
	PID      uint32 // with Owned: process in the initial namespace
	TID      uint32 // with Owned: thread in the initial namespace
	Seq      uint32 // sequence number of the payload's first byte
	StartSeq uint32 // with StartsTLS: sequence number of the ClientHello's first byte
	PeerSeq  uint32 // with StartsTLS and StartsSSH: the next sequence number of the other direction
	Flags    PacketFlags
	Foreign  bool   // with Owned: only a command and its descendants are observed, and the process is not one of them
	Prefix   []byte // with StartsTLS: the first bytes of the ClientHello, from earlier packets
	Payload  []byte
}

// SPDX-License-Identifier: Apache-2.0

// Package wire makes events of the packets that open TLS and SSH connections, so that programs show up whatever library
// they use.
//
// A [Sensor] takes the packets that the kernel's programs at sockets send, decodes each connection with package hello, and
// emits what a library with probes would have said: contexts such as tls::handshake with keys such as tls::ciphersuite, as
// [event.Event]. Package mapping makes trees of both.
//
//	kernel ─ tracer ─ event.Packet ─ wire.Sensor ─ event.Event ─ mapping
//
// A connection is emitted once the process that owns it has sent a packet: until then nobody knows whose it is. It ends
// when its records are encrypted, when it fails or closes, or after [Config.Timeout].
//
// The package keeps no names and addresses of peers, and cannot see what TLS 1.3 encrypts: certificates and signatures.
package wire

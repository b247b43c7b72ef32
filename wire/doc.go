// SPDX-License-Identifier: Apache-2.0

// Package wire turns the packets that open TLS and SSH connections into events, so that programs are observed whichever
// library they use.
//
// A [Sensor] receives the packets that the kernel's programs at sockets send, decodes each connection with package
// hello, and emits the events that a library with probes would have reported: contexts such as tls::handshake with keys
// such as tls::ciphersuite, as [event.Event]. Package mapping turns both into trees.
//
//	kernel ─ tracer ─ event.Packet ─ wire.Sensor ─ event.Event ─ mapping
//
// A connection is reported only after the process that owns it has sent a packet, because its owner is not known
// before. It ends when its records are encrypted, when it fails or closes, or after [Config.Timeout].
//
// The package keeps no names and addresses of peers, and cannot see what TLS 1.3 encrypts: certificates and signatures.
package wire

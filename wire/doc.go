// SPDX-License-Identifier: Apache-2.0

// Package wire turns the packets that open TLS and SSH connections into events, so that programs are observed whichever
// library they use.
//
// A [Sensor] receives the packets that the kernel's programs at sockets send, decodes each connection with package
// hello, and emits the events that a library with probes would have reported: contexts such as tls::handshake with keys
// such as tls::ciphersuite, as [event.Event]. Package mapping turns the events of both into trees.
//
//	kernel ─ tracer ─ event.Packet ─ wire.Sensor ─ event.Event ─ mapping
//
// A connection is reported only after its process has sent a packet, because the process is not known before. The
// reported handshake ends when the connection's records are encrypted, when the connection fails or closes, or after
// [Config.Timeout].
//
// The package does not keep names and addresses of peers, and cannot see what TLS 1.3 encrypts: certificates and
// signatures.
package wire

// SPDX-License-Identifier: Apache-2.0

// Package hello decodes the messages that open a TLS or SSH connection and travel in the clear.
//
// A [Conn] is one connection, as observed on the network. [Conn.Add] receives the payload of its two directions, in
// segments as TCP delivers them: late, repeated, overlapping and in any order. [Conn.TLS] or [Conn.SSH] has the decoded
// messages, and [Conn.State] reports whether more may follow:
//
//	c := hello.NewConn(hello.ProtocolTLS)
//	c.Start(hello.FromClient, seq)
//	c.Add(hello.FromClient, seq, payload)
//	if c.TLS.ServerHello != nil {
//		fmt.Println(c.TLS.ServerHello.Version, c.TLS.ServerHello.Group)
//	}
//
// A Conn decodes how the connection is protected: versions, cipher suites, groups, signature schemes, alerts, and the
// lists that SSH negotiates with. It keeps neither names nor addresses, and decrypts nothing. Memory is bounded by
// [MaxBytes] for each direction. Malformed input ends in [StateMalformed], never in a result.
package hello

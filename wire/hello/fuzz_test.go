// SPDX-License-Identifier: Apache-2.0

package hello

import (
	"os"
	"testing"
)

// recordings returns the recordings in testdata.
func recordings(t testing.TB) (all [][]packet) {
	t.Helper()
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			all = append(all, load(t, e.Name()))
		}
	}
	return all
}

// FuzzConn feeds the input as segments. For each segment, the input has one byte for protocol and direction, one for
// its distance from the end of the previous segment, and two for its length.
func FuzzConn(f *testing.F) {
	for _, packets := range recordings(f) {
		var seed []byte
		for _, p := range packets {
			seed = append(seed, byte(p.dir), 0, byte(len(p.data)>>8), byte(len(p.data)))
			seed = append(seed, p.data...)
		}
		f.Add(uint8(ProtocolTLS), seed)
		f.Add(uint8(ProtocolSSH), seed)
	}
	f.Fuzz(func(t *testing.T, protocol uint8, input []byte) {
		c := NewConn(Protocol(protocol%2 + 1))
		var seq [2]uint32
		for len(input) >= 4 {
			d, n := Direction(input[0]&1), min(int(input[2])<<8|int(input[3]), len(input)-4)
			at := seq[d] + uint32(int8(input[1]))
			before := c.State()
			c.Add(d, at, input[4:4+n])
			if before != StateOpen && c.State() != before {
				t.Fatalf("state %d became %d", before, c.State())
			}
			seq[d] = at + uint32(n)
			input = input[4+n:]
		}
		for d := range c.sides {
			s := &c.sides[d]
			if len(s.buf) > MaxBytes || len(s.ranges) > maxRanges || len(s.messages) > 2*MaxBytes {
				t.Fatalf("unbounded: %d bytes, %d ranges, %d bytes of messages", len(s.buf), len(s.ranges), len(s.messages))
			}
		}
		if c.State() == StateComplete && c.Protocol == ProtocolTLS && (c.TLS.ServerHello == nil || c.TLS.ClientHello == nil) {
			t.Fatalf("complete without hellos: %+v", c.TLS)
		}
		if c.SSH.Client != nil && c.SSH.Server != nil {
			Negotiate(c.SSH.Client, c.SSH.Server)
		}
	})
}

// FuzzMessages decodes single messages, because FuzzConn rarely gets past the lengths of records. The first byte
// selects the message.
func FuzzMessages(f *testing.F) {
	for _, packets := range recordings(f) {
		for _, p := range packets {
			if len(p.data) > recordHeader+messageHeader {
				f.Add(p.data[recordHeader], p.data[recordHeader+messageHeader:])
			}
		}
	}
	f.Fuzz(func(t *testing.T, typ uint8, body []byte) {
		switch typ {
		case messageClientHello:
			if h := parseClientHello(body); h != nil && (len(h.Suites)+len(h.Groups)+len(h.Shares))*2 > len(body) {
				t.Fatalf("more than was there: %+v", h)
			}
		case messageServerHello:
			if h := parseServerHello(body); h != nil && h.HasGroup && len(body) < 40 {
				t.Fatalf("a group from nothing: %+v", h)
			}
		case messageServerKeyExchange:
			for _, version := range []uint16{0x0301, 0x0303} {
				if kx := parseServerKeyExchange(body, &ServerHello{Version: version}); kx != nil && kx.Group == 0 && kx.PrimeBits > 8*len(body) {
					t.Fatalf("%+v", kx)
				}
			}
		case messageKex:
			if k := parseKexInit(body); k != nil {
				Negotiate(k, k)
			}
		}
	})
}

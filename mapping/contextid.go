// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
)

// newContextCipher returns AES-128 under a key that exists only in this process.
func newContextCipher() (cipher.Block, error) {
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails, it ends the program
	return aes.NewCipher(key[:])
}

// contextIDs returns 32 hex digits for each context, all in one string, that stand for the context and its thread: the
// same as long as crau-otel runs, and of no use to whoever lacks the key. No address leaves the host.
func (m *Mapper) contextIDs(nodes []*node) string {
	buf := m.scratch.ids[:0]
	block := m.scratch.block[:]
	for _, n := range nodes {
		binary.LittleEndian.PutUint64(block, n.ctx)
		binary.LittleEndian.PutUint32(block[8:], n.thread.proc.pid)
		binary.LittleEndian.PutUint32(block[12:], n.thread.id)
		m.block.Encrypt(block, block)
		buf = hex.AppendEncode(buf, block)
	}
	m.scratch.ids = buf
	return string(buf)
}

const contextIDLength = 2 * aes.BlockSize

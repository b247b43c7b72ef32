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

// contextID returns 32 hex digits that stand for a context of a thread: the same as long as crau-otel runs, and of no
// use to whoever lacks the key. No address leaves the host.
func (m *Mapper) contextID(t *thread, ctx uint64) string {
	var block [aes.BlockSize]byte
	binary.LittleEndian.PutUint64(block[:], ctx)
	binary.LittleEndian.PutUint32(block[8:], t.proc.pid)
	binary.LittleEndian.PutUint32(block[12:], t.id)
	m.block.Encrypt(block[:], block[:])
	return hex.EncodeToString(block[:])
}

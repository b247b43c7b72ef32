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

// contextID is what stands for a context of a thread; id is "" if there is none.
type contextID struct {
	ctx      uint64
	pid, tid uint32
	id       string
}

// recentIDs is how many ids are remembered: contexts are call sites or objects and come again. A power of two.
const recentIDs = 1 << 10

// contextID returns 32 hex digits that stand for the context and its thread: the same as long as crau-otel runs, and of
// no use to whoever lacks the key. No address leaves the host.
func (m *Mapper) contextID(n *node) string {
	pid, tid := n.thread.proc.pid, n.thread.id
	known := &m.ids[(n.ctx^uint64(tid)<<32)*0x9E3779B97F4A7C15>>32%recentIDs]
	if known.id != "" && known.ctx == n.ctx && known.pid == pid && known.tid == tid {
		return known.id
	}
	block := m.scratch.block[:]
	binary.LittleEndian.PutUint64(block, n.ctx)
	binary.LittleEndian.PutUint32(block[8:], pid)
	binary.LittleEndian.PutUint32(block[12:], tid)
	m.block.Encrypt(block, block)
	*known = contextID{n.ctx, pid, tid, hex.EncodeToString(block)}
	return known.id
}

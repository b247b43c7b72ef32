// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"

	"github.com/crau-otel/crau-otel/mapping/contexts"
	"github.com/crau-otel/crau-otel/mapping/memo"
)

// contextIDs encrypts context ids, because no address of a process may leave the host.
type contextIDs struct {
	block  cipher.Block
	buffer [aes.BlockSize]byte
	recent memo.Table[threadContext, string] // contexts are call sites or objects, so ids repeat
}

type threadContext struct {
	id       uint64
	pid, tid uint32
}

// newContextIDs returns a contextIDs with a random AES-128 key that exists only in this process.
func newContextIDs() (contextIDs, error) {
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails, it ends the program
	block, err := aes.NewCipher(key[:])
	return contextIDs{block: block, recent: memo.New[threadContext, string](1 << 10)}, err
}

// id returns 32 hex digits that stand for a context and its thread. They stay the same while crau-otel runs, and mean
// nothing without the key.
func (c *contextIDs) id(pid uint32, of *contexts.Context) string {
	key := threadContext{of.ID, pid, of.TID}
	hash := of.ID ^ uint64(of.TID)<<32
	if id := c.recent.Get(hash, key); id != nil {
		return *id
	}
	b := c.buffer[:]
	binary.LittleEndian.PutUint64(b, key.id)
	binary.LittleEndian.PutUint32(b[8:], key.pid)
	binary.LittleEndian.PutUint32(b[12:], key.tid)
	c.block.Encrypt(b, b)
	id := hex.EncodeToString(b)
	c.recent.Put(hash, key, id)
	return id
}

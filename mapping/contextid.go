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

// contextIDs encrypts context ids. They can be addresses, and no address of a process may leave the host.
type contextIDs struct {
	block  cipher.Block
	buffer [aes.BlockSize]byte
	recent memo.Table[threadContext, string] // ids repeat, because call sites and objects are used again
}

type threadContext struct {
	id       uint64
	pid, tid uint32
}

// newContextIDs returns a contextIDs with a random AES-128 key that is never stored outside this process.
func newContextIDs() (contextIDs, error) {
	var key [16]byte
	_, _ = rand.Read(key[:]) // never returns an error: it ends the program instead
	block, err := aes.NewCipher(key[:])
	return contextIDs{block: block, recent: memo.New[threadContext, string](1 << 10)}, err
}

// id returns 32 hex digits that stand for a context id on its thread. The digits stay the same while crau-otel runs,
// and reveal nothing without the key.
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

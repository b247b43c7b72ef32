// SPDX-License-Identifier: Apache-2.0

package registry

import "strings"

// parts says whether an algorithm consists of a classical part, a post-quantum part, or both. 0 means an unknown
// algorithm.
type parts uint8

const (
	classical parts = 1 << iota
	postQuantum
)

// kind is a family of classical algorithms with a minimum key size.
type kind uint8

const (
	noKind kind = iota
	rsa
	dsa
	dh
	ec
)

// digest is a set of broken hash functions.
type digest uint8

const (
	sha1 digest = 1 << iota
	md5
)

// reading is what was recognized in a spelling.
type reading struct {
	parts   parts
	kind    kind   // kind of the first classical part
	bits    uint64 // key size of the first classical part, 0 if the spelling does not contain it
	digests digest
}

// vocabulary maps the names of the known families, in lower case without punctuation, to their meanings. A key size
// after a name ("rsa2048", "secp256r1") does not belong to the name. Broken post-quantum candidates (SIKE, Rainbow) are
// missing on purpose.
var vocabulary = newVocabulary([]entry{
	{reading{parts: classical, kind: rsa}, `rsa rsae rsaes rsassa rsapss rsassapss rsaoaep rsaesoaep rsaencryption
		withrsa withrsaencryption pss oaep`},
	{reading{parts: classical, kind: dsa}, "dsa dss dsaencryption withdsa dsawithsha1"},
	{reading{parts: classical, kind: dh}, `dh dhx dhe edh adh ffdh ffdhe modp diffiehellman dhkeyagreement
		dhpublicnumber gssgroup gssgex`},

	{reading{parts: classical, kind: ec}, `ec ecc ecpublickey ecdsa withecdsa ecgdsa eckcdsa ecdh ecdhe ecmqv ecies
		xdh dhkem eddsa ed25519 ed448 x25519 x448 curve25519 curve448 cv25519
		secp sect nistp p224 p256 p384 p521 prime239 prime256 brainpoolp bp c2pnb c2tnb
		sm2 curvesm2 gost gostr gc256 gc512 cryptopro tc26`},
	{reading{parts: classical, kind: ec, bits: 192}, "p192 prime192"},

	{reading{parts: classical}, "elgamal sm9 bls eccsi isoibs isochineseibs"},

	{reading{parts: postQuantum}, `mlkem kyber sntrup ntru ntruprime ntrulpr frodo frodokem efrodokem hqc bike bikel
		mceliece classicmceliece`},
	{reading{parts: postQuantum}, `mldsa hashmldsa dilithium slhdsa hashslhdsa sphincs sphincssha sphincsshake
		sphincsharaka fndsa falcon falconpadded xmss xmssmt lms hss`},

	{reading{parts: classical | postQuantum}, "xwing"},

	{reading{digests: sha1}, "sha1 dsawithsha1"},
	{reading{digests: md5}, "md5"},
})

type entry struct {
	means reading
	names string
}

func newVocabulary(entries []entry) map[string]reading {
	v := make(map[string]reading)
	for _, e := range entries {
		for _, name := range strings.Fields(e.names) {
			means := v[name]
			means.join(e.means)
			v[name] = means
		}
	}
	return v
}

// join merges another reading into r. If r already has a kind or a size, r keeps it.
func (r *reading) join(o reading) {
	r.parts |= o.parts
	r.digests |= o.digests
	if r.kind == noKind {
		r.kind = o.kind
	}
	if r.kind == o.kind && r.bits == 0 {
		r.bits = o.bits
	}
}

const (
	maxSpelling = 128 // maximum bytes of a spelling; the longest registered names have about 50
	maxName     = 3   // maximum words in a name of the vocabulary, as in c-2-pnb
)

// read splits a spelling into words (runs of letters or of digits) and joins the meanings of the names that it finds in
// the vocabulary. At each word it takes the longest name, so that ML-DSA is not read as DSA. For a spelling of more
// than maxSpelling bytes it returns an empty reading.
func read(spelling string) reading {
	var r reading
	if len(spelling) > maxSpelling {
		return r
	}
	var w words
	w.cut(spelling)
	for i := 0; i < w.n; {
		means, next := w.name(i)
		if means.kind != noKind && means.bits == 0 {
			means.bits = w.size(next)
		}
		r.join(means)
		i = next
	}
	return r
}

// words is a spelling in lower case without punctuation, split into words.
type words struct {
	text  [maxSpelling]byte
	start [maxSpelling + 1]uint8 // index in text of each word; start[n] is the length of text
	n     int                    // number of words
}

func (w *words) cut(spelling string) {
	length, last := 0, byte(0)
	for i := range len(spelling) {
		c := spelling[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		class := byte(0)
		switch {
		case 'a' <= c && c <= 'z':
			class = 'a'
		case '0' <= c && c <= '9':
			class = '0'
		}
		if class != 0 {
			if class != last {
				w.start[w.n] = uint8(length)
				w.n++
			}
			w.text[length] = c
			length++
		}
		last = class
	}
	w.start[w.n] = uint8(length)
}

// name returns the meaning of the longest name in the vocabulary that starts at word i, and the index of the word after
// the name.
func (w *words) name(i int) (means reading, next int) {
	for next = min(i+maxName, w.n); next > i; next-- {
		if means, ok := vocabulary[string(w.text[w.start[i]:w.start[next]])]; ok {
			return means, next
		}
	}
	return reading{}, i + 1
}

// size returns word i as a number if it can be the size of a key (three to five digits), else 0.
func (w *words) size(i int) (bits uint64) {
	if i >= w.n {
		return 0
	}
	word := w.text[w.start[i]:w.start[i+1]]
	if len(word) < 3 || len(word) > 5 {
		return 0
	}
	for _, c := range word {
		if c < '0' || c > '9' {
			return 0
		}
		bits = bits*10 + uint64(c-'0')
	}
	return bits
}

func (r reading) status() Status {
	switch r.parts {
	case classical:
		return Classical
	case postQuantum:
		return PostQuantum
	case classical | postQuantum:
		return Hybrid
	}
	return Unknown
}

// leastBits lists the minimum size of each kind of key, and the weak reason for smaller keys.
var leastBits = [...]struct {
	bits uint64
	weak string
}{
	rsa: {2048, WeakRSABelow2048},
	dsa: {2048, WeakDSABelow2048},
	dh:  {2048, WeakDHBelow2048},
	ec:  {224, WeakECBelow224},
}

// weakSize appends the weak reason if a classical key is too small. The size of a hybrid is not judged, because it does
// not show the sizes of its parts.
func (r reading) weakSize(weak []string) []string {
	if least := leastBits[r.kind]; r.parts == classical && r.bits != 0 && r.bits < least.bits {
		weak = append(weak, least.weak)
	}
	return weak
}

// weakDigest appends the weak reasons of a signature with a broken digest.
func (r reading) weakDigest(weak []string) []string {
	if r.digests&sha1 != 0 {
		weak = append(weak, WeakSHA1Signature)
	}
	if r.digests&md5 != 0 {
		weak = append(weak, WeakMD5Signature)
	}
	return weak
}

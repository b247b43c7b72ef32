// SPDX-License-Identifier: Apache-2.0

// Package adversary shows that one user cannot blind or deceive the audit of others.
//
// A victim, a system service with a root-owned file, makes 100 handshakes at a steady pace while programs of the user nobody
// attack: each attack alone, and all at once. Every time the victim's handshakes must arrive whole, right and trusted, no
// span may have a key twice or claim what its file is not trusted for, and every hit must have been exported or counted.
// The attacks are modes of testdata/attack.c; docs/threats.md says what is promised against whom.
package adversary

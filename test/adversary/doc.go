// SPDX-License-Identifier: Apache-2.0

// Package adversary shows that one user cannot blind or deceive the audit of others.
//
// A victim, a system service with a root-owned file, makes 100 handshakes at a steady pace while programs of the user
// nobody attack, one attack at a time and all at once. Each time, the victim's handshakes must arrive whole, correct
// and trusted, no span may have a key twice or claim trust that its file does not have, and every hit must be exported
// or counted. Losses must be counted under the class of their owner. The attacks are modes of testdata/attack.c;
// docs/threats.md describes the promises.
//
// In other tests, testdata/deceive.c lies alongside the same victim: through the probes of a library that root owns,
// from cgroups that are named like a container or like the victim's unit, and with files that change while they are
// attached. No lie may look like a report of a program that can be believed, or of the victim.
package adversary

// SPDX-License-Identifier: Apache-2.0

// Package adversary shows that one user cannot blind or deceive the audit of others.
//
// A victim, a system service with a root-owned file, makes 100 handshakes at a steady pace while programs of the user nobody
// attack, one attack at a time and all at once. The victim's handshakes must arrive whole, right and trusted every time, no
// span may have a key twice or claim what its file is not trusted for, every hit must have been exported or counted, and
// what was lost must be counted for the class of owner whose it was. The attacks are modes of testdata/attack.c;
// docs/threats.md says what is promised against whom.
//
// Beside the same victim, testdata/deceive.c lies: by the probes of a library that root owns, from cgroups that are named like
// a container or like the victim's unit, and by files that change while they are attached. No lie may look like an observation
// of a program that can be believed, or of the victim.
package adversary

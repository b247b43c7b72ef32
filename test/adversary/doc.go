// SPDX-License-Identifier: Apache-2.0

// Package adversary shows that one user cannot blind or deceive the audit of others.
//
// The victim is a program of root. It makes 100 handshakes at a steady pace while programs of the user nobody attack,
// first with one attack at a time, then with all attacks together. Each time, the victim's handshakes must arrive
// whole, correct and trusted, no span may have an attribute key twice, no attacker's span may be trusted, and every hit
// must be exported or counted as lost. Losses must be counted under the class of their owner. The attacks are modes of
// testdata/attack.c; docs/threats.md describes the guarantees that they attack.
//
// In other tests, testdata/deceive.c reports cryptography that never took place while the same victim runs. It uses the
// probes of a library that root owns, cgroups that are named like a container or like the victim's systemd unit, and
// files that change while they are being attached. No such report may look like one of a trusted program or of the
// victim.
package adversary

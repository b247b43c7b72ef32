// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"time"

	"github.com/crau-otel/crau-otel/mapping/contexts"
	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// Code is what is known about the files whose code a process executes.
type Code uint8

// The values of Code.
const (
	CodeUnknown Code = iota
	CodeTrusted      // only the host's root can write the files
	CodeForeign      // others can write some of the files
)

// trustEvery is how long the trust in a process is cached, in ns.
const trustEvery = uint64(time.Second)

// trust returns whether the reports that a process makes about itself can be believed. now is a boot time in ns.
func (m *Mapper) trust(p *contexts.Process, now uint64) shape.ProcessTrust {
	if now >= p.TrustExpires {
		p.Trust, p.TrustExpires = m.judgeTrust(p), now+trustEvery
	}
	return p.Trust
}

// judgeTrust determines the trust in a process. The code of a user's process does not matter: with an interpreter or a
// debugger, users can make even root's programs report anything.
func (m *Mapper) judgeTrust(p *contexts.Process) shape.ProcessTrust {
	if p.Record == (event.Process{}) {
		return shape.TrustUnknown
	}
	owner := p.Owner()
	switch owner.Class {
	case contexts.ClassContainer:
		return shape.TrustContainer
	case contexts.ClassRoot, contexts.ClassSystem:
	default:
		return shape.TrustUser
	}
	switch code := m.cfg.Code(p.PID, p.Record, owner.ID); {
	case code == CodeForeign:
		return shape.TrustForeignCode
	case code == CodeUnknown:
		return shape.TrustUnknown
	case owner.Class == contexts.ClassRoot:
		return shape.TrustRoot
	}
	return shape.TrustSystem
}

// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/mapping/registry"
)

// series holds the attribute values that identify a series of an instrument.
type series struct {
	executable, operation, algorithm, role, rule string
	status                                       registry.Status
	process
	file mapping.FileTrust

	// These fields are set for handshakes only.
	protocol, version string
	downgraded        bool
}

// process describes the process that reported an operation: the class of its owner and its trust. Both fields have a
// fixed set of values, so that programs cannot create series with them.
type process struct{ class, trust string }

func processOf(t *mapping.Tree) process {
	p := process{trust: string(t.Trust)}
	if t.Owner != (mapping.Owner{}) {
		p.class = t.Owner.Class.String()
	}
	return p
}

// seriesOf returns the series of an operation, which must have a name.
func seriesOf(op *mapping.Operation, p process) series {
	s := series{
		executable: op.Executable, operation: op.Name, algorithm: op.Algorithm, role: op.Role, status: op.Status,
		process: p, file: op.Library,
	}
	if op.Handshake {
		s.version, s.downgraded = op.ProtocolVersion, op.Downgraded
		if op.ProtocolName != "ssh" { // the attribute is tls.protocol.name; SSH shows in the operation's name
			s.protocol = op.ProtocolName
		}
	}
	return s
}

func (s *series) attributes() attribute.Set {
	var attrs []attribute.KeyValue
	for _, a := range []attribute.KeyValue{
		keyExecutable.String(s.executable), keyOperation.String(s.operation), keyAlgorithm.String(s.algorithm),
		keyRole.String(s.role), keyStatus.String(s.status.String()), keyRule.String(s.rule), keyProtocol.String(s.protocol),
		keyVersion.String(s.version), keyClass.String(s.class), keyTrust.String(s.trust), keyLibrary.String(s.file.String()),
	} {
		if a.Value.AsString() != "" {
			attrs = append(attrs, a)
		}
	}
	if s.downgraded {
		attrs = append(attrs, keyDowngraded.Bool(true))
	}
	return attribute.NewSet(attrs...)
}

// overflow is the attribute of the series that counts whatever exceeds the limit: OpenTelemetry specification,
// "Cardinality limits".
var overflow = attribute.Bool("otel.metric.overflow", true)

// shares limits the series of an instrument.
type shares struct {
	limit   int            // maximum number of series, including the overflow series; 0 means no limit
	total   int            // number of series, without the overflow series
	byOwner map[string]int // number of series that each owner has added
}

func newShares(limit int) shares { return shares{limit: limit, byOwner: make(map[string]int)} }

// admit reports whether an owner may add a series, and counts the series if so. An owner may add a series while it has
// fewer series than are free.
func (s *shares) admit(owner string) bool {
	if s.limit > 0 && s.byOwner[owner] >= s.limit-1-s.total {
		return false
	}
	s.byOwner[owner]++
	s.total++
	return true
}

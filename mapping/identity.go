// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"go.opentelemetry.io/otel/attribute"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"

	"github.com/crau-otel/crau-otel/mapping/contexts"
	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/mapping/text"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// unknownService is the service name of a program whose ProcessStart did not arrive. OpenTelemetry's resource
// conventions define this name for a service without a name.
const unknownService = "unknown_service"

// identity is an observed program with the resource of its spans. Processes with equal resource attributes share an
// identity.
type identity struct {
	executable string
	resource   *sdkresource.Resource
}

// identify returns the program that a process runs.
func (m *Mapper) identify(pid uint32, p event.Process) *identity {
	name := p.Executable
	if name == "" {
		name = p.Comm
	}
	name = text.Name(name)
	service := name
	if service == "" {
		service = unknownService
	}
	attrs := []attribute.KeyValue{schema.AttrServiceName.String(service), schema.AttrExecutableName.String(service)}
	if m.cfg.Rules.Describe != nil && p != (event.Process{}) {
		attrs = append(attrs, text.Attributes(m.cfg.Rules.Describe(pid, p))...)
	}
	program := sdkresource.NewSchemaless(attrs...)
	if described, ok := program.Set().Value(schema.AttrExecutableName); ok && described.AsString() != service {
		name = text.Name(described.AsString())
	}
	if known, ok := m.identities[program.Equivalent()]; ok {
		return known
	}
	merged, err := sdkresource.Merge(m.cfg.Resource, program)
	if err != nil {
		m.cfg.Log.Warn("merging resources failed; spans lack the host's attributes", "executable", name, "error", err)
		merged = program
	}
	id := &identity{executable: name, resource: merged}
	if len(m.identities) >= m.cfg.MaxProcesses {
		clear(m.identities) // processes keep pointers to their identities
	}
	m.identities[program.Equivalent()] = id
	return id
}

// userClass returns the kind of user that a process runs as, or "" if its ProcessStart did not arrive. The ranges are
// those of systemd's UIDS-GIDS document and of subuid(5), in the initial user namespace.
func userClass(p event.Process) string {
	if p == (event.Process{}) {
		return ""
	}
	switch class, uid := contexts.ClassOfUser(p.UID), p.UID; {
	case class != contexts.ClassUser:
		return class.String()
	case uid == 65534:
		return "nobody"
	case uid < 65536:
		return "regular"
	}
	return "namespaced"
}

// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"go.opentelemetry.io/otel/attribute"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// unknownService names a program of which no process record arrived, in the form that the OpenTelemetry resource
// conventions give for a service without a name.
const unknownService = "unknown_service"

// identity is an observed program with the resource of its spans. Processes of which the same is told share one.
type identity struct {
	executable string
	resource   *sdkresource.Resource
}

// identity returns the program that a process runs.
func (m *Mapper) identity(pid uint32, p event.Process) *identity {
	name := p.Executable
	if name == "" {
		name = p.Comm
	}
	name = readable([]byte(name))
	service := name
	if service == "" {
		service = unknownService
	}
	attrs := []attribute.KeyValue{attrServiceName.String(service), attrExecutableName.String(service)}
	if m.cfg.Describe != nil && p != (event.Process{}) {
		attrs = append(attrs, m.cfg.Describe(pid, p)...)
	}
	own := sdkresource.NewSchemaless(attrs...)
	if id, ok := m.who[own.Equivalent()]; ok {
		return id
	}
	res, err := sdkresource.Merge(m.cfg.Resource, own)
	if err != nil {
		m.cfg.Log.Warn("cannot merge resources", "executable", name, "error", err)
		res = own
	}
	id := &identity{executable: name, resource: res}
	if len(m.who) >= m.cfg.MaxProcesses {
		clear(m.who) // those in use stay in use
	}
	m.who[own.Equivalent()] = id
	return id
}

// userClass says what kind of user a number stands for: the ranges of systemd's UIDS-GIDS document and of shadow's
// subuid(5), in the initial user namespace.
func userClass(uid uint32) string {
	switch {
	case uid == 0:
		return "root"
	case uid < 1000, uid >= 61184 && uid <= 65519:
		return "system" // those that systemd makes up for a service included
	case uid == 65534:
		return "nobody"
	case uid < 65536:
		return "regular"
	}
	return "namespaced"
}

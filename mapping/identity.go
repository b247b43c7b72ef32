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

// identity is an observed program with the resource of its spans. One serves all processes of the program,
// unless processes are described one by one.
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
	if id, ok := m.who[name]; ok && m.cfg.Describe == nil {
		return id
	}
	service := name
	if service == "" {
		service = unknownService
	}
	attrs := []attribute.KeyValue{attrServiceName.String(service), attrExecutableName.String(service)}
	if m.cfg.Describe != nil {
		attrs = append(attrs, m.cfg.Describe(pid, p)...)
	}
	own := sdkresource.NewSchemaless(attrs...)
	res, err := sdkresource.Merge(m.cfg.Resource, own)
	if err != nil {
		m.cfg.Log.Warn("cannot merge resources", "executable", name, "error", err)
		res = own
	}
	id := &identity{executable: name, resource: res}
	if m.cfg.Describe == nil && len(m.who) < m.cfg.MaxProcesses {
		m.who[name] = id
	}
	return id
}

// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// unknownService names a program of which no process record arrived, in the form that the OpenTelemetry resource
// conventions give for a service without a name.
const unknownService = "unknown_service"

// identity is an observed program with the resource of its spans. One serves all processes of the program.
type identity struct {
	executable string
	resource   *sdkresource.Resource
}

// identity returns the program that p runs.
func (m *Mapper) identity(p event.Process) *identity {
	name := p.Executable
	if name == "" {
		name = p.Comm
	}
	name = readable([]byte(name))
	if id, ok := m.who[name]; ok {
		return id
	}
	service := name
	if service == "" {
		service = unknownService
	}
	own := sdkresource.NewSchemaless(semconv.ServiceName(service), semconv.ProcessExecutableName(service))
	res, err := sdkresource.Merge(m.cfg.Resource, own)
	if err != nil {
		m.cfg.Log.Warn("cannot merge resources", "executable", name, "error", err)
		res = own
	}
	id := &identity{executable: name, resource: res}
	if len(m.who) < m.cfg.MaxProcesses {
		m.who[name] = id
	}
	return id
}

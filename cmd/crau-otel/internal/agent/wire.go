// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// ErrWireOff is the reason why connections are not examined if the configuration disables that.
var ErrWireOff = errors.New("wire.enabled is false, or scopes has neither tls nor ssh")

// attachWire attaches the BPF programs that read handshakes from connections. If they cannot be attached, it logs and
// returns the reason; it does not log that the configuration disables them. Libraries with probes are traced in any
// case.
func (a *Agent) attachWire() error {
	cfg := a.cfg.Wire
	wanted := func(scope string) bool { return scope == "tls" || scope == "ssh" }
	if !cfg.Enabled || len(a.cfg.Scopes) > 0 && !slices.ContainsFunc(a.cfg.Scopes, wanted) {
		return ErrWireOff
	}
	ports := make([]uint16, len(cfg.DenyPorts))
	for i, port := range cfg.DenyPorts {
		ports[i] = uint16(port)
	}
	err := a.tracer.AttachWire(tracer.WireConfig{
		Packet:          func(p *event.Packet) { a.pipeline.handler.packet(p) },
		ExcludedPorts:   ports,
		ExcludedCgroups: cfg.DenyCgroups,
	})
	switch {
	case err == nil:
	case errors.Is(err, unix.EPERM):
		a.log.Warn("handshakes are not read from connections, only from libraries with probes; grant CAP_NET_ADMIN, or set "+
			"wire.enabled to false", "error", err)
	default:
		a.log.Warn("handshakes are not read from connections, only from libraries with probes", "error", err)
	}
	return err
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/agent"
)

// report writes what somebody who ran a command cannot see from its trees: what is missing from them, that there are none,
// and why that may be, and that left processes of the command still run.
func report(w io.Writer, o agent.Outcome, left int) {
	var b strings.Builder
	if left > 0 {
		fmt.Fprintf(&b, "crau-otel: %s no longer observed; --linger 1m would wait longer\n",
			plural(left, "process of the command still runs and is", "processes of the command still run and are"))
	}
	if n := o.Totals.Traced.FamilyFull; n > 0 {
		fmt.Fprintf(&b, "crau-otel: %d processes of the command were not observed, since too many lived at a time\n", n)
	}
	if n := o.Totals.Exported.Failed.Spans + o.Totals.Exported.QueueFull.Spans; n > 0 {
		fmt.Fprintf(&b, "crau-otel: %d spans were not delivered; --log-level warn says why\n", n)
	}
	if o.Wire != nil && !errors.Is(o.Wire, agent.ErrWireOff) && o.Totals.Mapped.Trees > 0 {
		fmt.Fprintf(&b, "crau-otel: only libraries with probes were seen, since connections were not examined: %v\n", o.Wire)
	}
	if o.Totals.Mapped.Trees == 0 {
		b.WriteString("crau-otel: no TLS or SSH handshake of the command was seen\n")
		for _, reason := range reasons(&o) {
			b.WriteString("  - " + reason + "\n")
		}
	}
	_, _ = io.WriteString(w, b.String())
}

// reasons returns why nothing may have been seen.
func reasons(o *agent.Outcome) []string {
	var why []string
	c, t := &o.Totals.Connections, &o.Totals.Traced
	if lost := c.RingFull + c.RateLimited + c.NoStorage; lost > 0 {
		why = append(why, fmt.Sprintf("%d connections of the host were lost since the buffer was full: raise ring.size", lost))
	}
	if hidden := t.Hidden + o.Totals.Mapped.Hidden; hidden > 0 {
		why = append(why, fmt.Sprintf("%d events were left out by scopes", hidden))
	}
	if c.Excluded > 0 {
		why = append(why, fmt.Sprintf("%d connections of the host were left out by wire.deny_ports or wire.deny_cgroups", c.Excluded))
	}
	probes := "no file with probes is attached"
	if o.Files > 0 {
		probes = plural(o.Files, "file with probes is attached, and the command did not use it",
			"files with probes are attached, and the command did not use them")
	}
	if o.Wire != nil {
		return append(why, "connections were not examined: "+o.Wire.Error(),
			probes+"; statically linked programs and libraries without probes report nothing")
	}
	return append(why,
		"it may have opened no TCP connection with TLS or SSH; QUIC and DTLS, which use UDP, and Unix sockets are not seen",
		"another process may have made the connection, such as a daemon that the command asked to",
		probes)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/agent"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
)

// report writes what the trees of a command do not show: losses, possible reasons why there are no trees, and how many
// processes of the command still run (left). It uses the format of the log.
func report(w io.Writer, format string, o agent.Outcome, left int) {
	write := func(message string, why ...string) {
		fmt.Fprintln(w, "crau-otel:", message)
		for _, reason := range why {
			fmt.Fprintln(w, "  -", reason)
		}
	}
	if format == config.FormatJSON {
		log, _ := newLogger(w, config.Log{Level: "info", Format: format})
		write = func(message string, why ...string) {
			var more []any
			if len(why) > 0 {
				more = []any{"reasons", why}
			}
			log.Info(message, more...)
		}
	}
	if o.Disabled {
		write("nothing is exported: OTEL_SDK_DISABLED is true")
	}
	if left > 0 {
		write(plural(left, "process of the command still runs and is", "processes of the command still run and are") +
			" no longer observed; --linger 1m would wait longer")
	}
	if n := o.Totals.Traced.FamilyFull; n > 0 {
		write(fmt.Sprintf("%d processes of the command were not observed, since too many lived at a time", n))
	}
	if n := o.Totals.Exported.Failed.Spans + o.Totals.Exported.QueueFull.Spans; n > 0 {
		write(fmt.Sprintf("%d spans were not delivered; --log-level warn says why", n))
	}
	if o.Wire != nil && !errors.Is(o.Wire, agent.ErrWireOff) && o.Totals.Mapped.Trees > 0 {
		write(fmt.Sprintf("only libraries with probes were seen, since connections were not examined: %v", o.Wire))
	}
	if o.Totals.Mapped.Trees == 0 {
		write("no TLS or SSH handshake of the command was seen", reasons(&o)...)
	}
}

// reasons returns possible reasons why no handshake was seen.
func reasons(o *agent.Outcome) []string {
	var why []string
	c, t := &o.Totals.Connections, &o.Totals.Traced
	if lost := c.RingFull + c.RateLimited + c.NoStorage; lost > 0 {
		why = append(why, fmt.Sprintf("%d connections of the host were lost because the buffer was full: raise ring.size", lost))
	}
	if hidden := t.Hidden + o.Totals.Mapped.Hidden; hidden > 0 {
		why = append(why, fmt.Sprintf("%d events were excluded by scopes", hidden))
	}
	if c.Excluded > 0 {
		why = append(why, fmt.Sprintf("%d connections of the host were excluded by wire.deny_ports or wire.deny_cgroups", c.Excluded))
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

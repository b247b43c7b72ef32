// SPDX-License-Identifier: Apache-2.0

//go:build !dist

// Crau-otel shows which cryptography the programs on a host really use, as OpenTelemetry traces.
package main

import (
	"os"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
)

func main() {
	if cmd, err := newCommand().ExecuteC(); err != nil {
		reportFailure(os.Stderr, config.LogFormat(cmd.Flags(), os.Environ()), err)
		os.Exit(1)
	}
}

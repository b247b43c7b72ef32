// SPDX-License-Identifier: Apache-2.0

//go:build !dist

// Crau-otel shows which cryptography the programs on a host really use, as OpenTelemetry traces.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := newCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "crau-otel:", err)
		os.Exit(1)
	}
}

// SPDX-License-Identifier: Apache-2.0

//go:build !dist

// Crau-otel shows which cryptography the programs on a host actually use, as OpenTelemetry traces.
//
// Each command has a file: run.go, exec.go, probes.go, check.go and version.go. The files read flags and the
// configuration, and print; package internal/agent implements the agent that traces.
package main

import (
	"errors"
	"os"

	_ "github.com/crau-otel/crau-otel/cmd/crau-otel/internal/early" // discards logs until main starts
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/launch"
)

func main() {
	launch.Main()
	root := newCommand()
	cmd, err := root.ExecuteC()
	if err == nil {
		return
	}
	code := 1
	if exit := (*exitError)(nil); errors.As(err, &exit) {
		err, code = exit.err, exit.code
	}
	if err != nil {
		reportFailure(os.Stderr, failureFormat(root, cmd, os.Args[1:], os.Environ()), err)
	}
	os.Exit(code)
}

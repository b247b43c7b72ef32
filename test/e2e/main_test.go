// SPDX-License-Identifier: Apache-2.0

// Package e2e runs the real program on a real kernel against real programs with probes, and looks at what a user sees.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The programs under test, built by TestMain.
var agentPath, samplePath, staticPath string

func TestMain(m *testing.M) {
	// What else runs on this machine must not be counted: only the tests of discovery turn it on.
	os.Setenv("CRAU_DISCOVERY_ENABLED", "false")
	agentPath, samplePath, staticPath = os.Getenv("E2E_AGENT"), os.Getenv("E2E_SAMPLE"), os.Getenv("E2E_SAMPLE")
	if agentPath != "" && samplePath != "" {
		os.Exit(m.Run()) // built elsewhere, as for the virtual machine of test/vm
	}
	dir, err := os.MkdirTemp("", "crau-otel-e2e")
	if err == nil {
		// Files of this run's own: whoever else runs the sample program would be traced, too.
		agentPath = filepath.Join(dir, "crau-otel")
		samplePath, staticPath = filepath.Join(dir, "sample"), filepath.Join(dir, "sample-static")
	}
	for _, cmd := range []*exec.Cmd{
		exec.Command("go", "build", "-o", agentPath, "../../cmd/crau-otel"),
		exec.Command("make", "-s", "-C", "../../examples/sample", "BIN="+dir),
	} {
		if err == nil {
			cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is released
			err = cmd.Run()
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build programs under test:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

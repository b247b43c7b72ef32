// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

const root = "../.." // path of the repository

// Paths of crau-otel and of the sample program, linked dynamically and statically. TestMain builds them. Tests trace
// copies of the sample program; see ownSample.
var agentPath, samplePath, staticPath string

// parallel is how many tests run at the same time. It exceeds the number of processors, because tests mostly wait for
// timeouts of the agent.
const parallel = "6"

func TestMain(m *testing.M) {
	runPeer()
	if address := os.Getenv(dialVariable); address != "" {
		os.Exit(dial(address))
	}
	if program := os.Getenv(refusedVariable); program != "" {
		os.Exit(runRefused(program))
	}
	// Makes programs that tests start not ignore SIGHUP, even if the tests run under nohup.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	flag.Parse()
	if !isSet("test.parallel") {
		_ = flag.Set("test.parallel", parallel)
	}
	agentPath, samplePath, staticPath = os.Getenv("E2E_AGENT"), os.Getenv("E2E_SAMPLE"), os.Getenv("E2E_SAMPLE")
	if agentPath != "" && samplePath != "" {
		os.Exit(m.Run()) // the programs were built elsewhere, for a virtual machine of test/vm
	}
	dir, err := os.MkdirTemp("", "crau-otel-e2e")
	if err == nil {
		agentPath = filepath.Join(dir, "crau-otel")
		samplePath, staticPath = filepath.Join(dir, "sample"), filepath.Join(dir, "sample-static")
		err = errors.Join(harness.BuildAgent(root, agentPath), harness.BuildSample(root, dir))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func isSet(name string) (found bool) {
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

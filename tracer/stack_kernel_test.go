// SPDX-License-Identifier: Apache-2.0

package tracer_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/crau-otel/crau-otel/bpf"
	"github.com/crau-otel/crau-otel/test/harness"
)

// The functions that are active while a run waits for a page need less than 64 bytes of stack, as rounded by the
// verifier. A function that needs more gets a stack that all tasks on a CPU share: see audit.bpf.c.
func TestRunsWaitOnAStackOfTheirOwn(t *testing.T) {
	harness.RequireBPF(t)
	spec, err := bpf.LoadAudit()
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"can_sleep", "shared_stacks"} {
		if err := spec.Variables[flag].Set(uint8(1)); err != nil {
			t.Fatal(err)
		}
	}
	for name := range spec.Programs {
		if name != "audit" {
			delete(spec.Programs, name)
		}
	}
	objects, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{
		Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats | ebpf.LogLevelBranch},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer objects.Close()
	_, log, ok := strings.Cut(objects.Programs["audit"].VerifierLog, "stack depth ")
	line, _, _ := strings.Cut(log, "\n")
	depths := strings.Split(line, "+")
	var functions []string
	for _, ins := range spec.Programs["audit"].Instructions {
		if ins.Symbol() != "" {
			functions = append(functions, ins.Symbol())
		}
	}
	t.Log(functions, depths)
	if !ok || len(functions) != len(depths) {
		t.Fatalf("%d functions, and stack depths %q", len(functions), line)
	}
	const most = 48
	for i, name := range functions {
		depth, err := strconv.Atoi(strings.TrimSpace(depths[i]))
		if err != nil {
			t.Fatal(err)
		}
		if (name == "audit" || name == "wait") && depth > most {
			t.Errorf("%s needs %d bytes, want %d at most", name, depth, most)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

func TestScopesHideAllOthers(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	a := startAgent(t, []string{"CRAU_SCOPES=tls"}, append(asJSON, "--library", sample)...)
	hits := harness.RunSample(t, sample, "--count", "2", "--rate", "0")
	n := a.Stop()
	n.CheckExact(t, hits)
	if n["lost.hidden"] == 0 {
		t.Error("no hit was counted as hidden")
	}
	roots := harness.Trees(t, a.ConsoleSpans())
	if len(roots) != 4 {
		t.Fatalf("%d trees, want 4", len(roots))
	}
	for _, root := range roots {
		text := root.Text()
		if strings.Contains(text, "pk") || root.Attributes["crypto.pqc.key_exchange.status"] != "hybrid" {
			t.Errorf("with scope tls:\n%s", text)
		}
	}
}

func TestProcessIsPrivateUnlessConfigured(t *testing.T) {
	t.Parallel()
	private := []string{"process.pid", "process.owner", "process.executable.path", "process.command_args"}
	for _, mode := range []string{"none", "full"} {
		t.Run(mode, func(t *testing.T) {
			config := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(config, []byte("privacy:\n  process: "+mode+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			sample := ownSample(t)
			a := startAgent(t, nil, "--config", config, "--library", sample, "--exporter", "console", "--console-format", "json")
			hits := harness.StaySample(t, exec.Command(sample, "--count", "2", "--rate", "4", "--role", "client"),
				func() { a.WaitTrees("sample", 2) })
			a.Stop().CheckExact(t, hits)
			roots := harness.Trees(t, a.ConsoleSpans())
			if len(roots) != 2 {
				t.Fatalf("%d trees, want 2", len(roots))
			}
			for _, key := range private {
				if got, ok := roots[0].Resource[key]; ok != (mode == "full") {
					t.Errorf("%s is %v with privacy.process: %s", key, got, mode)
				}
			}
			if path := roots[0].Resource["process.executable.path"]; mode == "full" && path != sample {
				t.Errorf("process.executable.path is %v, want %s", path, sample)
			}
			if args, ok := roots[0].Resource["process.command_args"].([]any); mode == "full" && (!ok || args[0] != sample) {
				t.Errorf("process.command_args is %v", args)
			}
		})
	}
}

func TestLibraryThatReportedIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() // only root can write to it, but anybody can write to its parent folder
	copied := filepath.Join(dir, "libsample.so.1.2")
	harness.Copy(t, samplePath, copied)
	a := trace(t, copied)
	if out, err := exec.Command(copied, "--count", "1", "--role", "client").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a.Stop()
	roots := harness.Trees(t, a.ConsoleSpans())
	if len(roots) != 1 {
		t.Fatalf("%d trees, want 1", len(roots))
	}
	for key, want := range map[string]any{
		"crypto.library.name": "libsample.so.1.2", "crypto.library.path": copied, "crypto.library.version": "1.2",
		"crypto.library.trusted": false,
	} {
		if got := roots[0].Attributes[key]; got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	if id, _ := roots[0].Attributes["crypto.library.build_id"].(string); len(id) != 40 {
		t.Errorf("crypto.library.build_id is %q, want 40 hex digits", id)
	}
	if roots[0].Children[0].Attributes["crypto.library.name"] != nil {
		t.Error("a child of the same library repeats its name")
	}
}

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestScopesKeepOnlyTheirs(t *testing.T) {
	t.Setenv("CRAU_SCOPES", "tls")
	a := startAgent(t, nil, "--library", samplePath, "--exporter", "console", "--console-format", "json")
	hits := runSample(t, "--count", "2", "--rate", "0")
	n := a.stop()
	n.checkExact(t, hits)
	if n["lost.hidden"] == 0 {
		t.Error("no hit was counted as hidden")
	}
	roots := trees(t, consoleSpans(t, a.stdout.Bytes()))
	if len(roots) != 4 {
		t.Fatalf("%d trees, want 4", len(roots))
	}
	for _, root := range roots {
		text := root.text()
		if strings.Contains(text, "pk") || root.Attributes["crypto.pqc.key_exchange.status"] != "hybrid" {
			t.Errorf("with scope tls:\n%s", text)
		}
	}
}

func TestProcessIsPrivateUnlessAskedFor(t *testing.T) {
	private := []string{"process.pid", "process.owner", "process.executable.path", "process.command_args"}
	for _, mode := range []string{"none", "full"} {
		t.Run(mode, func(t *testing.T) {
			config := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(config, []byte("privacy:\n  process: "+mode+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			a := startAgent(t, nil, "--config", config, "--library", samplePath, "--exporter", "console", "--console-format", "json")
			runSample(t, "--count", "2", "--rate", "4", "--role", "client")
			a.stop()
			roots := trees(t, consoleSpans(t, a.stdout.Bytes()))
			if len(roots) != 2 {
				t.Fatalf("%d trees, want 2", len(roots))
			}
			for _, key := range private {
				if got, ok := roots[0].Resource[key]; ok != (mode == "full") {
					t.Errorf("%s is %v with privacy.process: %s", key, got, mode)
				}
			}
			if path := roots[0].Resource["process.executable.path"]; mode == "full" && path != samplePath {
				t.Errorf("process.executable.path is %v, want %s", path, samplePath)
			}
		})
	}
}

func TestLibraryThatSpokeIsNamed(t *testing.T) {
	dir := t.TempDir() // writable by root alone, below one that anybody may write to
	copied := filepath.Join(dir, "libsample.so.1.2")
	program, err := os.ReadFile(samplePath)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, program, 0o755); err != nil {
		t.Fatal(err)
	}
	a := startAgent(t, nil, "--library", copied, "--exporter", "console", "--console-format", "json")
	if out, err := exec.Command(copied, "--count", "1", "--role", "client").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a.stop()
	roots := trees(t, consoleSpans(t, a.stdout.Bytes()))
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
	if roots[0].children[0].Attributes["crypto.library.name"] != nil {
		t.Error("a child of the same library repeats its name")
	}
}

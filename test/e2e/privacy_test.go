// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
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

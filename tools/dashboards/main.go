// SPDX-License-Identifier: Apache-2.0

// Command dashboards writes the Grafana dashboards of this project as JSON into a folder.
//
//	dashboards DIR
//
// They query a Prometheus that scrapes an OpenTelemetry Collector with examples/collector/gateway.yaml, and a Tempo.
// The names of metrics and labels are those of docs/metrics.md; a test runs every query.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: dashboards DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "dashboards:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	for name, b := range map[string]*dashboard.DashboardBuilder{
		"readiness.json": readiness(),
		"program.json":   program(),
		"health.json":    health(),
	} {
		built, err := b.Build()
		if err != nil {
			return fmt.Errorf("build %s: %w", name, err)
		}
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(built); err != nil {
			return fmt.Errorf("encode %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text.Bytes(), 0o644); err != nil { //nolint:gosec // public
			return fmt.Errorf("write dashboard: %w", err)
		}
	}
	return nil
}

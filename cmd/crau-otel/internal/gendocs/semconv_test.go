// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.yaml.in/yaml/v3"
)

// parseRegistry decodes a file of the registry. It fails the test if the file has a field that Weaver's syntax lacks.
func parseRegistry(t *testing.T, name string, into any) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(read(t, name)))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// The registry in semconv/ follows the rules of Weaver's syntax, contains every documented attribute, and redefines no
// attribute of OpenTelemetry's semantic conventions.
func TestWeaverRegistryMatchesThePages(t *testing.T) {
	t.Parallel()
	var manifest registryManifest
	parseRegistry(t, "semconv/manifest.yaml", &manifest)
	if manifest.SchemaURL == "" || len(manifest.Dependencies) != 1 || manifest.Dependencies[0].SchemaURL != semconv.SchemaURL {
		t.Errorf("the manifest is %+v", manifest)
	}
	types := []string{"template[any]", "string", "int", "double", "boolean", "string[]", "int[]", "double[]", "boolean[]"}
	stabilities := []string{"stable", "development", "alpha", "beta", "release_candidate"}
	instruments := []string{"counter", "histogram", "gauge", "updowncounter"}
	id := regexp.MustCompile(`^[a-z]([a-z0-9_.]*[a-z0-9])?$`)
	defined, referred, groups := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, name := range []string{"semconv/attributes.yaml", "semconv/metrics.yaml"} {
		var file registryFile
		parseRegistry(t, name, &file)
		for _, g := range file.Groups {
			if groups[g.ID] || !id.MatchString(g.ID) || g.Brief == "" {
				t.Errorf("group %q is twice, misnamed or without a brief", g.ID)
			}
			groups[g.ID] = true
			switch g.Type {
			case "attribute_group":
			case "metric":
				if g.ID != "metric."+g.MetricName || !slices.Contains(instruments, g.Instrument) || g.Unit == "" ||
					!slices.Contains(stabilities, g.Stability) {
					t.Errorf("metric %+v", g)
				}
			default:
				t.Errorf("group %s has type %q", g.ID, g.Type)
			}
			for _, a := range g.Attributes {
				if a.Ref != "" {
					referred[a.Ref] = true
					continue
				}
				if defined[a.ID] || !id.MatchString(a.ID) || a.Brief == "" || !slices.Contains(stabilities, a.Stability) ||
					!slices.Contains(types, a.Type) {
					t.Errorf("attribute %+v", a)
				}
				defined[a.ID] = true
				for _, example := range a.Examples {
					if !exampleFits(a.Type, example) {
						t.Errorf("attribute %s of type %s has the example %v", a.ID, a.Type, example)
					}
				}
			}
		}
	}
	known := conventionalKeys(t)
	for key := range referred {
		if !defined[key] && !known[key] {
			t.Errorf("%s is defined neither here nor by OpenTelemetry", key)
		}
	}
	for key := range defined {
		if known[key] {
			t.Errorf("%s is OpenTelemetry's and defined again", key)
		}
	}
	for key, a := range documented() {
		key = strings.TrimSuffix(key, ".*")
		if !defined[key] && (!a.Conventional() || !referred[key]) {
			t.Errorf("%s is missing", key)
		}
	}
}

func exampleFits(typ string, example any) bool {
	switch typ {
	case "string", "template[any]":
		_, ok := example.(string)
		return ok
	case "int":
		_, ok := example.(int)
		return ok
	case "string[]":
		list, ok := example.([]any)
		return ok && !slices.ContainsFunc(list, func(e any) bool { return !exampleFits("string", e) })
	}
	return false
}

// conventionalKeys returns the attribute keys of the semantic conventions, as OpenTelemetry's Go module defines them.
func conventionalKeys(t *testing.T) map[string]bool {
	t.Helper()
	list := exec.Command("go", "list", "-f", "{{.Dir}}", "go.opentelemetry.io/otel/semconv/v1.43.0")
	list.Dir = root
	dir, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "attribute_group.go"))
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for _, m := range regexp.MustCompile(`Key = attribute\.Key\("([^"]+)"\)`).FindAllSubmatch(text, -1) {
		keys[string(m[1])] = true
	}
	if len(keys) < 500 {
		t.Fatalf("found only %d conventions", len(keys))
	}
	return keys
}

// SPDX-License-Identifier: Apache-2.0

//go:build fleet

package fleet

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// compose is the part of a Compose file that the tests read. Unknown fields are rejected, as Compose rejects them.
type compose struct {
	Name     string
	Services map[string]struct {
		Image       string
		Command     []string
		Environment map[string]string
		Volumes     []string
		Ports       []string
		Restart     string
	}
	Volumes map[string]struct{}
}

// strictly parses a YAML file into a value, and fails if the file has a field that the value's type does not have.
func strictly(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// The Compose file has images with a full version, publishes ports on the loopback interface only, and mounts files
// that exist. The configuration files name only services and ports that the Compose file has.
func TestComposeFileIsPinnedAndLocal(t *testing.T) {
	var c compose
	strictly(t, root+"/examples/compose.yaml", &c)
	pinned, local := regexp.MustCompile(`^[a-z/-]+:v?[0-9]+\.[0-9]+\.[0-9]+$`), regexp.MustCompile(`^127\.0\.0\.1:\d+:\d+$`)
	for name, s := range c.Services {
		if !pinned.MatchString(s.Image) {
			t.Errorf("%s: image %s has no version", name, s.Image)
		}
		for _, p := range s.Ports {
			if !local.MatchString(p) {
				t.Errorf("%s: port %s is open to other machines", name, p)
			}
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if _, err := os.Stat(filepath.Join(root, "examples", source)); strings.HasPrefix(source, ".") && err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if _, ok := c.Volumes[source]; !ok && !strings.HasPrefix(source, ".") {
				t.Errorf("%s: volume %s is not defined", name, source)
			}
		}
	}
	files, err := filepath.Glob(root + "/examples/compose/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(root + "/examples/compose/grafana/provisioning/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	hosts := 0
	for _, file := range append(files, more...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?:://|endpoint: |\[)([a-z]+):\d+`).FindAllStringSubmatch(string(text), -1) {
			hosts++
			if _, ok := c.Services[m[1]]; !ok {
				t.Errorf("%s: there is no service %s", file, m[1])
			}
		}
	}
	if hosts < 6 {
		t.Errorf("found only %d addresses of services", hosts)
	}
}

// Grafana's provisioning files have only fields that Grafana knows, and name the folder where the Compose file mounts
// the dashboards.
func TestGrafanaProvisioningIsValid(t *testing.T) {
	dir := root + "/examples/compose/grafana/provisioning"
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, UID, Type, Access, URL string
			IsDefault                    bool           `yaml:"isDefault"`
			JSONData                     map[string]any `yaml:"jsonData"`
		}
	}
	strictly(t, dir+"/datasources/crau-otel.yaml", &sources)
	types := map[string]bool{}
	for _, s := range sources.Datasources {
		types[s.Type] = true
	}
	if !types["prometheus"] || !types["tempo"] || sources.APIVersion != 1 {
		t.Errorf("data sources are %v", types)
	}
	var dashboards struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Folder, Type string
			Options            struct{ Path string }
		}
	}
	strictly(t, dir+"/dashboards/crau-otel.yaml", &dashboards)
	var c compose
	strictly(t, root+"/examples/compose.yaml", &c)
	mounted := strings.Join(c.Services["grafana"].Volumes, " ")
	if path := dashboards.Providers[0].Options.Path; !strings.Contains(mounted, "./grafana/dashboards:"+path+":ro") {
		t.Errorf("Grafana reads dashboards from %s and mounts %s", path, mounted)
	}
}

// Prometheus accepts its configuration together with the alerts that the Compose file mounts in the same folder.
func TestPrometheusAcceptsItsConfiguration(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{"compose/prometheus.yaml", "prometheus/alerts.yaml"} {
		text, err := os.ReadFile(filepath.Join(root, "examples", file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("promtool", "check", "config", filepath.Join(dir, "prometheus.yaml")).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

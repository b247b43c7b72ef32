// SPDX-License-Identifier: Apache-2.0

//go:build fleet

package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// kubernetes is the module version whose API description the manifests are checked against.
const kubernetes = "k8s.io/kubernetes@v1.34.1"

// tool runs one of the programs that `make` builds from tools/ into bin, and returns its output.
func tool(t *testing.T, stdin []byte, name string, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.Command(root+"/bin/"+name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	return cmd.CombinedOutput()
}

func mustTool(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	out, err := tool(t, nil, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// template renders the Helm chart with the given arguments.
func template(t *testing.T, args ...string) []byte {
	t.Helper()
	return mustTool(t, "helm", append([]string{
		"template", "crau-otel", root + "/examples/kubernetes/chart", "--namespace", "crau-otel", "--kube-version", "1.34.1",
	}, args...)...)
}

// schemas writes JSON schemas for the kinds of objects that the manifests use. It derives them from the API description
// of Kubernetes, and returns the schemas' location for kubeconform.
func schemas(t *testing.T) string {
	t.Helper()
	download := exec.Command("go", "mod", "download", "-json", kubernetes)
	download.Env, download.Dir = append(os.Environ(), "GOFLAGS=-mod=mod"), t.TempDir()
	out, err := download.Output()
	if err != nil {
		t.Fatalf("download %s: %v\n%s", kubernetes, err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(module.Dir, "api/openapi-spec/swagger.json"))
	if err != nil {
		t.Fatal(err)
	}
	var api struct {
		Definitions map[string]map[string]any `json:"definitions"`
	}
	if err := json.Unmarshal(text, &api); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, definition := range api.Definitions {
		switch {
		case definition["format"] == "int-or-string":
			definition["type"] = []string{"integer", "string"}
		case definition["properties"] != nil:
			definition["additionalProperties"] = false
		}
	}
	write := func(name string, content any) {
		b, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for kind, definition := range map[string]string{
		"daemonset-apps-v1":           "io.k8s.api.apps.v1.DaemonSet",
		"networkpolicy-networking-v1": "io.k8s.api.networking.v1.NetworkPolicy",
		"configmap-v1":                "io.k8s.api.core.v1.ConfigMap",
		"serviceaccount-v1":           "io.k8s.api.core.v1.ServiceAccount",
		"namespace-v1":                "io.k8s.api.core.v1.Namespace",
	} {
		write(kind+".json", map[string]any{"$ref": "#/definitions/" + definition, "definitions": api.Definitions})
	}
	return dir + "/{{ .ResourceKind }}{{ .KindSuffix }}.json"
}

func conform(t *testing.T, location string, manifests []byte) ([]byte, error) {
	t.Helper()
	return tool(t, manifests, "kubeconform", "-strict", "-summary", "-schema-location", location, "-")
}

// The chart, in several configurations, and the kustomize base contain valid objects of the Kubernetes API. A
// misspelled field is an error.
func TestKubernetesManifestsAreValid(t *testing.T) {
	location := schemas(t)
	mustTool(t, "helm", "lint", "--strict", root+"/examples/kubernetes/chart")
	base := mustTool(t, "kustomize", "build", root+"/examples/kubernetes/base")
	for name, manifests := range map[string][]byte{
		"default": template(t),
		"everything": template(t, "--set", "clusterName=one,otlp.tlsSecret=tls,otlp.endpoint=https://collector:4317",
			"--set", "env[0].name=A,env[0].value=b,podLabels.a=b,podAnnotations.a=b,imagePullSecrets[0].name=pull"),
		"least": template(t, "--set", "wire=false,discovery=false,networkPolicy.enabled=false"),
		"base":  base,
	} {
		if out, err := conform(t, location, manifests); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		broken := bytes.Replace(manifests, []byte("readOnlyRootFilesystem"), []byte("readOnlyRootFileSystem"), 1)
		if out, err := conform(t, location, broken); err == nil {
			t.Errorf("%s: accepted with a typing error\n%s", name, out)
		}
	}
}

// The kustomize base is equal to the output of the chart with default values.
func TestKubernetesBaseIsTheChart(t *testing.T) {
	base, err := os.ReadFile(root + "/examples/kubernetes/base/crau-otel.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if want := template(t); !bytes.Equal(base, want) {
		t.Error("examples/kubernetes/base/crau-otel.yaml is not what the chart makes: run make kubernetes")
	}
}

// daemonSet is the part of a DaemonSet that TestKubernetesGivesNoMoreThanTheDocumentedPrivileges reads.
type daemonSet struct {
	Kind string
	Spec struct {
		Template struct {
			Spec struct {
				HostPID     bool `yaml:"hostPID"`
				HostNetwork bool `yaml:"hostNetwork"`
				Containers  []struct {
					SecurityContext struct {
						Privileged               bool
						AllowPrivilegeEscalation bool `yaml:"allowPrivilegeEscalation"`
						ReadOnlyRootFilesystem   bool `yaml:"readOnlyRootFilesystem"`
						Capabilities             struct{ Drop, Add []string }
					} `yaml:"securityContext"`
					Resources    struct{ Limits map[string]string }
					VolumeMounts []struct {
						Name     string
						ReadOnly bool `yaml:"readOnly"`
					} `yaml:"volumeMounts"`
				}
			}
		}
	}
}

// The agent's container has exactly the capabilities that docs/privileges.md lists. Its root file system and all its
// volumes are read-only.
func TestKubernetesGivesNoMoreThanTheDocumentedPrivileges(t *testing.T) {
	all := []string{"BPF", "PERFMON", "NET_ADMIN", "SYS_PTRACE", "CHECKPOINT_RESTORE", "SETUID", "SETGID", "DAC_READ_SEARCH"}
	for _, c := range []struct {
		values string
		want   []string
	}{
		{"wire=true", all},
		{"wire=false", []string{"BPF", "PERFMON", "SYS_PTRACE", "CHECKPOINT_RESTORE", "SETUID", "SETGID", "DAC_READ_SEARCH"}},
		{"discovery=false", []string{"BPF", "PERFMON", "NET_ADMIN", "SETUID", "SETGID", "DAC_READ_SEARCH"}},
	} {
		decoder := yaml.NewDecoder(bytes.NewReader(template(t, "--set", c.values)))
		found := false
		for {
			var d daemonSet
			if err := decoder.Decode(&d); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if d.Kind != "DaemonSet" {
				continue
			}
			found = true
			pod := d.Spec.Template.Spec
			s := pod.Containers[0].SecurityContext
			if !pod.HostPID || pod.HostNetwork || s.Privileged || s.AllowPrivilegeEscalation || !s.ReadOnlyRootFilesystem {
				t.Errorf("%s: %+v", c.values, pod)
			}
			if !slices.Equal(s.Capabilities.Add, c.want) || !slices.Equal(s.Capabilities.Drop, []string{"ALL"}) {
				t.Errorf("%s: capabilities are %+v", c.values, s.Capabilities)
			}
			if pod.Containers[0].Resources.Limits["memory"] == "" {
				t.Errorf("%s: no limit of memory", c.values)
			}
			for _, m := range pod.Containers[0].VolumeMounts {
				if !m.ReadOnly {
					t.Errorf("%s: %s is writable", c.values, m.Name)
				}
			}
		}
		if !found {
			t.Errorf("%s: no DaemonSet", c.values)
		}
	}
}

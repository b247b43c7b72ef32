// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// runIn runs the sample program in a cgroup. It ends before anybody could look at its process.
func runIn(t *testing.T, cgroup, sample string) {
	t.Helper()
	script := `echo $$ > "$1/cgroup.procs" && exec "$2" --count 1 --rate 0`
	if out, err := exec.Command("sh", "-c", script, "sh", cgroup, sample).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestContainerPodAndUnitAreAttributes(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("0123456789abcdef", 4)
	name := fmt.Sprintf("crau-e2e-%d", os.Getpid())
	pod := "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod275ecb36_5aa8_4c2a_9c47_d8bb681b9aff.slice/" +
		"cri-containerd-" + id + ".scope"
	config := filepath.Join(t.TempDir(), "crau.yaml")
	text := "services:\n- {name: by unit, executable: sam*, unit: " + name + ".service}\n- {name: never, executable: other}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sample := ownSample(t)
	a := startAgent(t, []string{"OTEL_RESOURCE_ATTRIBUTES=host.id=this-host"},
		append(asJSON, "--config", config, "--library", sample)...)
	runIn(t, harness.Cgroup(t, "/docker/"+id), sample)
	runIn(t, harness.Cgroup(t, pod), sample)
	runIn(t, harness.Cgroup(t, "/system.slice/"+name+".service"), sample)
	runIn(t, harness.Cgroup(t, "/"), sample)
	a.Stop()
	roots := harness.Trees(t, a.ConsoleSpans())
	want := []map[string]any{
		{"service.name": "sample", "container.id": id, "container.runtime.name": "docker"},
		{
			"service.name": "sample", "container.id": id, "container.runtime.name": "containerd",
			"k8s.pod.uid": "275ecb36-5aa8-4c2a-9c47-d8bb681b9aff",
		},
		{"service.name": "by unit", "systemd.unit": name + ".service"},
		{"service.name": "sample"},
	}
	if len(roots) != 2*len(want) {
		t.Fatalf("%d trees, want %d", len(roots), 2*len(want))
	}
	instances := make(map[any]int)
	for i, root := range roots {
		for _, key := range []string{"service.name", "container.id", "container.runtime.name", "k8s.pod.uid", "systemd.unit"} {
			if got := root.Resource[key]; got != want[i/2][key] {
				t.Errorf("tree %d: %s is %v, want %v", i, key, got, want[i/2][key])
			}
		}
		if got := root.Resource["host.id"]; got != "this-host" {
			t.Errorf("host.id is %v", got)
		}
		instances[root.Resource["service.instance.id"]]++
	}
	// Two runtimes name the same container: one instance.
	if len(instances) != 3 {
		t.Errorf("service.instance.id has the values %v", instances)
	}
}

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// runIn runs the sample program in a cgroup. The program ends before the agent can examine its process.
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
	// These variables describe the agent. Of them, only host.id also applies to the traced programs.
	a := startAgent(t, []string{"OTEL_RESOURCE_ATTRIBUTES=host.id=this-host,service.instance.id=x", "OTEL_SERVICE_NAME=renamed"},
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
	// Two of the cgroups name the same container. One of these may be forged, so they are reported as separate
	// instances.
	if len(instances) != 4 {
		t.Errorf("service.instance.id has the values %v", instances)
	}
}

// A user who may create cgroups names them like another user's container and service. The programs in them are not
// reported as that container or service.
func TestForgedCgroupsAreTheUsersOwn(t *testing.T) {
	t.Parallel()
	const user = 1234567
	id := strings.Repeat("89abcdef01234567", 4)
	name := fmt.Sprintf("crau-e2e-forged-%d.service", os.Getpid())
	config := filepath.Join(t.TempDir(), "crau.yaml")
	if err := os.WriteFile(config, []byte("services:\n- {name: believed, unit: "+name+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sample := ownSample(t)
	a := startAgent(t, nil, append(asJSON, "--config", config, "--library", sample)...)
	slice := fmt.Sprintf("/user.slice/user-%d.slice", user)
	delegated := harness.Cgroup(t, slice+fmt.Sprintf("/user@%d.service", user))
	if err := os.Chown(delegated, user, user); err != nil {
		t.Fatal(err)
	}
	own := harness.Cgroup(t, "/system.slice/"+name)
	runIn(t, harness.Cgroup(t, "/docker/"+id), sample)
	runIn(t, own, sample)
	for _, forged := range []string{"docker-" + id + ".scope", name} {
		runIn(t, harness.Cgroup(t, slice+fmt.Sprintf("/user@%d.service/", user)+forged), sample)
	}
	runner := fmt.Sprintf("/system.slice/crau-e2e-runner-%d.service", os.Getpid())
	if err := os.Chown(harness.Cgroup(t, runner), user, user); err != nil {
		t.Fatal(err)
	}
	runIn(t, harness.Cgroup(t, runner+"/docker-"+id+".scope"), sample)
	a.Stop()
	unit := fmt.Sprintf("user@%d.service", user)
	want := []map[string]any{
		{"service.name": "sample", "container.id": id},
		{"service.name": "believed", "systemd.unit": name},
		{
			"service.name": "sample", "systemd.unit": unit,
			"crau.nested.container.id": id, "crau.nested.systemd.unit": "docker-" + id + ".scope",
		},
		{"service.name": "sample", "systemd.unit": unit, "crau.nested.systemd.unit": name},
		{
			"service.name": "sample", "systemd.unit": filepath.Base(runner),
			"crau.nested.container.id": id, "crau.nested.systemd.unit": "docker-" + id + ".scope",
		},
	}
	classes := []string{"container", "root", "root", "root", "root"} // by cgroup; all programs run as root
	roots := harness.Trees(t, a.ConsoleSpans())
	if len(roots) != 2*len(want) {
		t.Fatalf("%d trees, want %d", len(roots), 2*len(want))
	}
	instances := make(map[any]bool)
	for i, root := range roots {
		for _, key := range []string{
			"service.name", "container.id", "k8s.pod.uid", "systemd.unit", "crau.nested.container.id", "crau.nested.systemd.unit",
		} {
			if got := root.Resource[key]; got != want[i/2][key] {
				t.Errorf("tree %d: %s is %v, want %v", i, key, got, want[i/2][key])
			}
		}
		if got := root.Attributes["crypto.owner.class"]; got != classes[i/2] {
			t.Errorf("tree %d: crypto.owner.class is %v, want %s", i, got, classes[i/2])
		}
		instances[root.Resource["service.instance.id"]] = true
	}
	if len(instances) != len(want) {
		t.Errorf("%d instances, want %d", len(instances), len(want))
	}
}

// If the dynamic loader is run with a program as its argument, the kernel records the loader as the executable.
// crau-otel reports the program's name, which it finds in the mapped files and not in the arguments.
func TestProgramRunByTheLoader(t *testing.T) {
	t.Parallel()
	name := unique(t, "loaded")
	sample := harness.Copy(t, samplePath, filepath.Join(t.TempDir(), name))
	r := harness.Receive(t, harness.ReceiverConfig{})
	a := startAgent(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.Endpoint()}, "--library", sample)
	loaded := exec.Command(interpreter(t, sample), "--argv0", "/usr/sbin/sshd", sample, "--rate", "50")
	harness.StartProgram(t, loaded)
	r.WaitSpans(10, 30*time.Second)
	harness.Finish(t, loaded)
	a.Stop()
	want := map[string]any{
		"service.name": name, "process.executable.name": name, "process.executable.build_id.gnu": buildID(t, sample),
	}
	for _, span := range r.Spans() {
		for key, value := range want {
			if got := span.Resource[key]; got != value {
				t.Fatalf("%s is %v, want %v", key, got, value)
			}
		}
	}
}

// interpreter returns the path of the dynamic loader that a program requests.
func interpreter(t *testing.T, program string) string {
	t.Helper()
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := f.Section(".interp").Data()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimRight(string(text), "\x00")
}

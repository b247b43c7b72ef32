// SPDX-License-Identifier: Apache-2.0

//go:build adversary

package adversary

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// siege is an attack on resources of the system that the agent needs.
type siege struct {
	prepare string   // shell commands that run before the agent in the same process
	env     []string // environment variables of the agent
	attack  func(t *testing.T, agent *harness.TestAgent)
	soon    time.Duration                                // time limit for attaching the victim
	check   func(t *testing.T, agent *harness.TestAgent) // runs at the end; nil: no check
}

// many are environment variables that set limits too high to be reached.
var many = []string{
	"CRAU_DISCOVERY_MAX_FILES=4096", "CRAU_DISCOVERY_MAX_FILES_PER_CONTAINER=4096",
	"CRAU_DISCOVERY_MAX_SITES=16384", "CRAU_DISCOVERY_MAX_SITES_PER_CONTAINER=16384",
}

// besiege starts the victim during an attack. The victim's file must be attached in time, and its handshakes must
// arrive whole.
func (p programs) besiege(t *testing.T, s siege) {
	receiver := harness.Receive(t, harness.ReceiverConfig{})
	path := filepath.Join(folder(t), "agent.sh")
	script := fmt.Sprintf("#!/bin/sh\n%s\nexec %s \"$@\"\n", s.prepare, p.agent)
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	agent := harness.Start(t, harness.AgentConfig{Path: path, Env: append([]string{
		"CRAU_DISCOVERY_ENABLED=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + receiver.Endpoint(),
	}, s.env...)})
	s.attack(t, agent)

	victim := harness.Copy(t, p.sample, filepath.Join(folder(t), fmt.Sprintf("victim-%d", os.Getpid())))
	began := time.Now()
	program, begin := p.startVictim(t, victim)
	agent.WaitLog("msg=attached file=" + victim)
	took := time.Since(began)
	t.Logf("the victim is attached after %v", took)
	if took > s.soon {
		t.Errorf("the victim is attached after %v, want %v at most", took, s.soon)
	}
	begin()
	if err := program.Wait(); err != nil {
		t.Errorf("victim: %v", err)
	}
	if s.check != nil {
		s.check(t, agent)
	}
	if descriptors, err := harness.Descriptors(agent.PID()); err == nil {
		_, peak, _ := harness.Memory(agent.PID())
		t.Logf("the agent has %d descriptors, and had %d MiB at most", descriptors, peak>>20)
	}
	verify(t, agent, receiver, victim)
}

// mapMany starts processes of the user nobody that map files with probes. It returns the folder of the files, and a
// function that ends the processes.
func (p programs) mapMany(t *testing.T, files, processes int) (dir string, end func()) {
	t.Helper()
	dir = folder(t)
	library := harness.Compile(t, root, filepath.Join(dir, "library.so"), "-shared", "-fPIC", "testdata/library.c")
	mapper := harness.Compile(t, root, filepath.Join(folder(t), "mapfiles"), "testdata/mapfiles.c")
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	var running []*exec.Cmd
	each := files / processes
	for i := range processes {
		args := []string{fmt.Sprint(i)}
		for j := range each {
			args = append(args, harness.Copy(t, library, filepath.Join(dir, fmt.Sprintf("%d-%d.so", i, j))))
		}
		cmd := asNobody(t, session(t, fmt.Sprint("map", i)), mapper, args...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		running = append(running, harness.StartProgram(t, cmd))
		said := make([]byte, 64)
		if n, _ := out.Read(said); strings.TrimSpace(string(said[:n])) != fmt.Sprint("mapped ", each) {
			t.Fatalf("a process %s, want %d", said[:n], each)
		}
	}
	return dir, func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
		for _, cmd := range running {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			_ = cmd.Wait()
		}
	}
}

// hang starts a program that waits in a page fault for its FUSE server, which never answers.
func hang(t *testing.T, args ...string) {
	t.Helper()
	program := harness.Compile(t, root, filepath.Join(folder(t), "hang"), "-w", "../e2e/testdata/fusehang.c")
	const longest = "60" // seconds
	cmd := asNobody(t, session(t, "hang"), program, append([]string{t.TempDir(), longest}, args...)...)
	cmd.SysProcAttr.Credential = nil // run as root, which may mount
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // also ends the FUSE server, for which the program waits
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	var out strings.Builder
	for buf := make([]byte, 256); !strings.Contains(out.String(), "READ came"); {
		n, err := stderr.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			t.Fatalf("%v: %s", err, &out)
		}
	}
}

// One user who exhausts a resource of the system does not delay the tracing of other users' programs.
func TestScarceResourcesCostOthersNothing(t *testing.T) {
	harness.RequireBPF(t)
	p := build(t)
	for name, run := range map[string]func(t *testing.T, p programs){
		"deleted files": deletedFiles, "server that never answers": silentServer, "locked memory map": lockedMap,
		"few descriptors": fewDescriptors, "little memory": littleMemory,
	} {
		t.Run(name, func(t *testing.T) { run(t, p) })
	}
}

// The kernel takes 65 ms to detach a deleted file. Detaching 256 of them does not delay the attaching of new files.
func deletedFiles(t *testing.T, p programs) {
	const files = 256
	p.besiege(t, siege{env: many, soon: 2 * time.Second, attack: func(t *testing.T, agent *harness.TestAgent) {
		began := time.Now()
		dir, end := p.mapMany(t, files, 4)
		agent.WaitLogs("msg=attached file="+dir, files)
		t.Logf("%d files are attached after %v", files, time.Since(began))
		end()
		agent.WaitLogs("msg=detached file="+dir, 1) // wait until detaching has begun
	}})
}

// A program that hangs in a page fault at a probe does not delay the tracing of other programs.
func silentServer(t *testing.T, p programs) {
	p.besiege(t, siege{soon: 3 * time.Second, attack: func(t *testing.T, _ *harness.TestAgent) { hang(t) }})
}

// A process whose memory map stays locked does not delay the tracing of other programs.
func lockedMap(t *testing.T, p programs) {
	p.besiege(t, siege{
		soon: 3 * time.Second, attack: func(t *testing.T, _ *harness.TestAgent) { hang(t, "lock") },
		check: func(_ *testing.T, agent *harness.TestAgent) {
			agent.WaitLog("process does not answer and is set aside")
		},
	})
}

// If the agent may open few descriptors, it attaches as many files as possible and logs once that others are left out.
// Files of root are still attached.
func fewDescriptors(t *testing.T, p programs) {
	p.besiege(t, siege{
		prepare: "ulimit -n 256", env: many, soon: 3 * time.Second,
		attack: func(t *testing.T, agent *harness.TestAgent) {
			dir, _ := p.mapMany(t, 200, 1)
			agent.WaitLogs("msg=attached file="+dir, 40)
			agent.WaitLog("limit=descriptors")
		},
		check: func(t *testing.T, agent *harness.TestAgent) {
			log := agent.Log()
			if n := strings.Count(log, "file with probes left out"); n != 1 {
				t.Errorf("%d warnings about files that are left out, want 1", n)
			}
			for _, text := range []string{"too many open files", "reports of changed processes failed", "notifications unavailable"} {
				if strings.Contains(log, text) {
					t.Errorf("the log has %q", text)
				}
			}
		},
	})
}

// If little memory is available, the agent lowers its limits and keeps running.
func littleMemory(t *testing.T, p programs) {
	cgroup, outOfMemory := harness.MemoryCgroup(t, 64<<20)
	p.besiege(t, siege{
		prepare: "echo $$ > " + cgroup + "/cgroup.procs", env: many, soon: 3 * time.Second,
		attack: func(t *testing.T, agent *harness.TestAgent) {
			agent.WaitLog("limits lowered to fit the memory of the cgroup")
			p.mapMany(t, 200, 1)
			p.startAttack(t, "contexts")
			time.Sleep(2 * time.Second)
		},
		check: func(t *testing.T, _ *harness.TestAgent) {
			if n := outOfMemory(); n != "0" {
				t.Errorf("the kernel ran out of memory %s times", n)
			}
		},
	})
}

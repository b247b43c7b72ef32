// SPDX-License-Identifier: Apache-2.0

package privileges

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/sys/capability"

	"github.com/crau-otel/crau-otel/test/harness"
)

// nobody and stranger are ids of two users and groups without accounts.
const nobody, stranger = 4242, 4343

const denied, refused, fine = "permission denied", "operation not permitted", ""

// all contains the operations whose outcome is the same for every child that runs as nobody, with the expected error,
// which is fine if the operation must succeed.
var all = map[string]string{
	"write a file of root's": denied, "give a file away": refused, "become root": refused, "change groups": refused,
	"regain capabilities": refused, "mount": refused, "signal root": refused,
	"open own file by descriptor": fine, "read own maps": fine,
}

// with adds the entries of all to more, and returns more.
func with(more map[string]string) map[string]string {
	for what, how := range all {
		more[what] = how
	}
	return more
}

func TestDropLeavesNoPrivilegeThatIsNotNeeded(t *testing.T) {
	requireThreads(t)
	always, discovery := Keep(true, false, false), Keep(true, true, false)
	attached := harness.Sample(t, "../../../..")
	early, late := publish(t, attached), publish(t, attached)
	onlyOwn := with(map[string]string{
		"read a private file": denied, "open a stranger's file": denied, "open own mapped file": refused,
		"read a stranger's link": denied,
	})
	everything := with(map[string]string{
		"read a private file": fine, "open a stranger's file": fine, "open own mapped file": fine,
		"read a stranger's link": fine,
	})
	for _, test := range []struct {
		name    string
		start   *syscall.SysProcAttr
		spec    string
		keep    Set
		bounded bool // the bounding set must be empty too
		may     map[string]string
	}{
		{"root", root(), "4242:4242", always, true, onlyOwn},
		{"root to discover", root(), "4242:4242", discovery, true, everything},
		{"plain user", plain(always), "", always, false, onlyOwn},
		{"plain user to discover", plain(discovery), "", discovery, false, everything},
		{"plain user with more", plain(discovery | Of(capability.CAP_CHOWN)), "4242:4242", always, false, onlyOwn},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := startChild(t, test.start, childConfig{Spec: test.spec, Keep: test.keep, Early: early, Late: late})
			var tried map[string]string
			c.read(t, &tried)
			for what, want := range test.may {
				if got, ok := tried[what]; !ok || got != want {
					t.Errorf("%s: %q, want %q", what, got, want)
				}
			}
			want := map[string]string{
				"Uid": "4242 4242 4242 4242", "Gid": "4242 4242 4242 4242", "Groups": "", "NoNewPrivs": "1",
				"CapPrm": fmt.Sprintf("%016x", uint64(test.keep)), "CapEff": fmt.Sprintf("%016x", uint64(test.keep)),
				"CapInh": none, "CapAmb": none,
			}
			if test.bounded {
				want["CapBnd"] = none
			}
			threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", c.pid))
			if err != nil || len(threads) <= lockedThreads {
				t.Fatalf("threads: %v, %v", threads, err)
			}
			for _, path := range threads {
				compare(t, path, want)
			}
			if info, err := os.Stat(fmt.Sprintf("/proc/%d/environ", c.pid)); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
				t.Errorf("others of its user can look into it: %v, %v", info, err)
			}
			// Programs that the child executes have no capabilities.
			want["CapPrm"], want["CapEff"] = none, none
			compare(t, tried["status of a child"], want)

			pids := []string{run(t, early), run(t, late)}
			c.tell(t)
			var events map[string]int
			c.read(t, &events)
			for i, pid := range pids {
				if events[pid] == 0 || events[pid] != events[pids[0]] {
					t.Errorf("program %d: %d events, the first had %d", i, events[pid], events[pids[0]])
				}
			}
		})
	}
}

const none = "0000000000000000"

func TestDropWithoutTheRight(t *testing.T) {
	requireThreads(t)
	sample := publish(t, harness.Sample(t, "../../../.."))
	c := startChild(t, plain(Keep(true, true, false)), childConfig{Spec: "4343:4343", Keep: Keep(true, true, false), Late: sample})
	var tried map[string]string
	c.read(t, &tried)
	if want := `become user "4343:4343": leave groups: operation not permitted`; tried["drop"] != want {
		t.Errorf("got %q, want %q", tried["drop"], want)
	}
}

// Without one of the capabilities, the operation that is the reason for this capability fails.
func TestEachCapabilityIsNeededForItsReason(t *testing.T) {
	requireThreads(t)
	sample := publish(t, harness.Sample(t, "../../../.."))
	able := func(held Set) map[string]string {
		c := startChild(t, plain(held), childConfig{Late: sample})
		var tried map[string]string
		c.read(t, &tried)
		return tried
	}
	whole := Keep(true, true, false)
	wholeTried := able(whole)
	for lacking, what := range map[capability.Cap]string{
		capability.CAP_BPF:                "load",
		capability.CAP_PERFMON:            "load",
		capability.CAP_LEASE:              "lease a file of root's",
		capability.CAP_SYS_PTRACE:         "read a stranger's link",
		capability.CAP_DAC_READ_SEARCH:    "read a private file",
		capability.CAP_CHECKPOINT_RESTORE: "open a stranger's file",
	} {
		if got := wholeTried[what]; got != fine {
			t.Errorf("%s with %x: %s", what, whole, got)
		}
		if got := able(whole &^ Of(lacking))[what]; got != denied && got != refused {
			t.Errorf("%s without %s: %q", what, lacking, got)
		}
	}
	if got := able(Of(capability.CAP_BPF, capability.CAP_PERFMON))["load"]; got != fine {
		t.Errorf("load with no more than is always needed: %s", got)
	}
	// Old kernels allow single uprobes without CAP_SYS_ADMIN, so the outcome is only logged.
	t.Logf("single uprobes without CAP_SYS_ADMIN: %q", wholeTried["attach single uprobes"])
	if got := able(Keep(false, false, false))["attach single uprobes"]; got != fine {
		t.Errorf("single uprobes: %s", got)
	}
}

// requireThreads skips a test in binaries with cgo, where Drop cannot work. CI also runs the tests without cgo.
func requireThreads(t *testing.T) {
	t.Helper()
	harness.RequireBPF(t)
	if hasCgo() {
		t.Skip("built with cgo")
	}
}

func hasCgo() bool {
	_, _, errno := syscall.AllThreadsSyscall(syscall.SYS_GETUID, 0, 0, 0)
	return errno == syscall.ENOTSUP
}

func TestDropWithCgo(t *testing.T) {
	if !hasCgo() {
		t.Skip("built without cgo")
	}
	before, _, err := read()
	if err != nil {
		t.Fatal(err)
	}
	if err := Drop(User{}, 0); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "CGO_ENABLED=0") {
		t.Errorf("got %v", err)
	}
	if after, _, err := read(); err != nil || after != before {
		t.Errorf("capabilities are %x, %v; were %x", after, err, before)
	}
}

// root returns the attributes of a child that runs as root, with supplementary groups.
func root() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Groups: []uint32{0, stranger}}}
}

// plain returns the attributes of a child that runs as nobody with these capabilities.
func plain(held Set) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	for c := range capability.Cap(64) {
		if held.Has(c) {
			attr.AmbientCaps = append(attr.AmbientCaps, uintptr(c))
		}
	}
	return attr
}

// publish copies a program to a folder where every user can execute it, and returns the path of the copy.
func publish(t *testing.T, path string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "privileges")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	public := filepath.Join(dir, filepath.Base(path))
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(public, program, 0o755); err != nil {
		t.Fatal(err)
	}
	return public
}

// run runs the sample program and returns its process id.
func run(t *testing.T, path string) string {
	t.Helper()
	cmd := exec.Command(path, "--count", "2", "--rate", "0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strconv.Itoa(cmd.Process.Pid)
}

// compare checks fields of a process's /proc/PID/status. status is the text or, if it begins with "/", the path.
func compare(t *testing.T, status string, want map[string]string) {
	t.Helper()
	text := status
	if strings.HasPrefix(status, "/") {
		read, err := os.ReadFile(status)
		if err != nil {
			t.Fatal(err)
		}
		text = string(read)
	}
	got := make(map[string]string)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		got[name] = strings.Join(strings.Fields(value), " ")
	}
	for name, value := range want {
		if v, ok := got[name]; !ok || v != value {
			t.Errorf("%.30q: %s is %q, want %q", status, name, v, value)
		}
	}
}

// child is a run of TestChild.
type child struct {
	pid     int
	results *json.Decoder
	orders  *os.File
}

func startChild(t *testing.T, attr *syscall.SysProcAttr, cfg childConfig) *child {
	t.Helper()
	cfg.Stranger = startStranger(t)
	encoded, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	results, childResults, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	childOrders, orders, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	attr.Pdeathsig = syscall.SIGKILL
	// The test binary is executed by this link, because its path may lead through a folder that only root can enter.
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childVariable+"="+string(encoded))
	cmd.SysProcAttr, cmd.ExtraFiles = attr, []*os.File{childResults, childOrders}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	childResults.Close()
	childOrders.Close()
	t.Cleanup(func() {
		orders.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, &output)
		}
		results.Close()
	})
	return &child{cmd.Process.Pid, json.NewDecoder(bufio.NewReader(results)), orders}
}

// startStranger starts a process of another user and returns its process id.
func startStranger(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sleep", "300")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// read reads the next report of the child into v.
func (c *child) read(t *testing.T, v any) {
	t.Helper()
	if err := c.results.Decode(v); err != nil {
		t.Fatal(err)
	}
}

// tell lets the child continue.
func (c *child) tell(t *testing.T) {
	t.Helper()
	if _, err := c.orders.Write([]byte{'\n'}); err != nil {
		t.Fatal(err)
	}
}

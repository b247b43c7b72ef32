// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/needs"

	"golang.org/x/sys/unix"
)

const (
	id1 = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d"
	id2 = "34dc0b5e626f2c5c4c5170e34b10e7654ce36f0fcd532739f4445baabea03376"
	pod = "74c13223-5a00-11e9-b385-42010a80018d"
)

// slice is the pod's identifier as it is spelled in the names of systemd's slices.
var slice = strings.ReplaceAll(pod, "-", "_")

// TestParseCgroup parses paths in the forms that container runtimes, Kubernetes and systemd create.
func TestParseCgroup(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]Cgroup{
		// Docker with the cgroupfs and systemd drivers, rootless Docker, and containers inside kind and Docker.
		"/docker/" + id1:                         {ContainerID: id1, Runtime: "docker"},
		"/system.slice/docker-" + id1 + ".scope": {ContainerID: id1, Runtime: "docker", Unit: "docker-" + id1 + ".scope"},
		"/docker/" + id1 + "/docker/" + id2:      {ContainerID: id2, Runtime: "docker"},
		"/system.slice/docker-" + id1 + ".scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod" + slice + ".slice/cri-containerd-" + id2 + ".scope": {ContainerID: id2, Runtime: "containerd", PodUID: pod, Unit: "docker-" + id1 + ".scope"},
		"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + id1 + ".scope":                                                                                                               {ContainerID: id1, Runtime: "docker", Unit: "docker-" + id1 + ".scope"},
		"/../../docker/" + id1:                   {ContainerID: id1, Runtime: "docker"}, // from another cgroup namespace
		"/docker/" + id1 + "/init.scope":         {ContainerID: id1, Runtime: "docker", Unit: "init.scope"},
		"/actions_job/" + id1:                    {ContainerID: id1},
		"/system.slice/docker-" + id1 + ".mount": {Unit: "docker-" + id1 + ".mount"},

		// Kubernetes: both cgroup drivers, all classes, dockershim, a colon that systemd did not interpret, static
		// pods.
		"/kubepods/besteffort/pod" + pod + "/" + id2:                                                                  {ContainerID: id2, PodUID: pod},
		"/kubepods/pod" + pod + "/" + id2:                                                                             {ContainerID: id2, PodUID: pod},
		"/kubepods.slice/kubepods-pod" + slice + ".slice/cri-containerd-" + id2 + ".scope":                            {ContainerID: id2, Runtime: "containerd", PodUID: pod, Unit: "cri-containerd-" + id2 + ".scope"},
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + slice + ".slice/docker-" + id2 + ".scope": {ContainerID: id2, Runtime: "docker", PodUID: pod, Unit: "docker-" + id2 + ".scope"},
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + slice + ".slice":                          {PodUID: pod},
		"/system.slice/containerd.service/kubepods-besteffort-pod" + slice + ".slice:cri-containerd:" + id2:           {ContainerID: id2, Runtime: "containerd", PodUID: pod, Unit: "containerd.service"},
		"/kubepods-besteffort-pod" + slice + ".slice:cri-containerd:" + id2:                                           {ContainerID: id2, Runtime: "containerd", PodUID: pod},
		"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-podb1e89a2fcc688644de3eb95aee8025ce.slice/cri-containerd-" + id2 + ".scope": {ContainerID: id2, Runtime: "containerd", PodUID: "b1e89a2fcc688644de3eb95aee8025ce", Unit: "cri-containerd-" + id2 + ".scope"},
		"/kubelet/kubepods/burstable/pod" + pod + "/" + id2: {ContainerID: id2, PodUID: pod},

		// CRI-O, and its monitor, which does not run in a container.
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + slice + ".slice/crio-" + id2 + ".scope":           {ContainerID: id2, Runtime: "cri-o", PodUID: pod, Unit: "crio-" + id2 + ".scope"},
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + slice + ".slice/crio-" + id2 + ".scope/container": {ContainerID: id2, Runtime: "cri-o", PodUID: pod, Unit: "crio-" + id2 + ".scope"},
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + slice + ".slice/crio-conmon-" + id2 + ".scope":    {PodUID: pod, Unit: "crio-conmon-" + id2 + ".scope"},
		"/system.slice/crio-conmon-" + id2 + ".scope":    {Unit: "crio-conmon-" + id2 + ".scope"},
		"/kubepods/burstable/pod" + pod + "/crio-" + id2: {ContainerID: id2, Runtime: "cri-o", PodUID: pod},

		// Podman as root, rootless and with cgroupfs, and its monitor.
		"/machine.slice/libpod-" + id1 + ".scope":                                                     {ContainerID: id1, Runtime: "podman", Unit: "libpod-" + id1 + ".scope"},
		"/machine.slice/libpod-" + id1 + ".scope/container":                                           {ContainerID: id1, Runtime: "podman", Unit: "libpod-" + id1 + ".scope"},
		"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id1 + ".scope/container": {ContainerID: id1, Runtime: "podman", Unit: "libpod-" + id1 + ".scope"},
		"/libpod_parent/libpod-" + id1:                                                                {ContainerID: id1, Runtime: "podman"},
		"/machine.slice/libpod-conmon-" + id1 + ".scope":                                              {Unit: "libpod-conmon-" + id1 + ".scope"},
		"/system.slice/web.service/libpod-payload-" + id1:                                             {ContainerID: id1, Runtime: "podman", Unit: "web.service"},

		// containerd without Kubernetes, and Amazon ECS.
		"/system.slice/nerdctl-" + id1 + ".scope":                                           {ContainerID: id1, Runtime: "containerd", Unit: "nerdctl-" + id1 + ".scope"},
		"/default/" + id1:                                                                   {ContainerID: id1},
		"/ecs/cluster/5a0d5ceddf6c44c1928d367a815d890f/" + id1:                              {ContainerID: id1},
		"/ecs/55091c13-b8cf-4801-b527-f4601742204d/" + id1:                                  {ContainerID: id1},
		"/ecs/5a0d5ceddf6c44c1928d367a815d890f/5a0d5ceddf6c44c1928d367a815d890f-2574839563": {ContainerID: "5a0d5ceddf6c44c1928d367a815d890f-2574839563"},

		// systemd units.
		"/system.slice/nginx.service":                                             {Unit: "nginx.service"},
		"/system.slice/system-getty.slice/getty@tty1.service":                     {Unit: "getty@tty1.service"},
		"/system.slice/system-postgresql.slice/postgresql@15-main.service/worker": {Unit: "postgresql@15-main.service"},
		"/init.scope": {Unit: "init.scope"},
		"/user.slice/user-1000.slice/session-3.scope":                                    {Unit: "session-3.scope"},
		"/user.slice/user-1000.slice/user@1000.service/init.scope":                       {Unit: "init.scope"},
		"/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox-1234.scope": {Unit: "app-firefox-1234.scope"},
		"/user.slice/user-1000.slice/user@1000.service/app.slice/a.service/b.service":    {Unit: "a.service"},
		`/system.slice/dev-disk-by\x2duuid-1.swap`:                                       {Unit: `dev-disk-by\x2duuid-1.swap`},
		"/system.slice/cups.socket":                                                      {Unit: "cups.socket"},
		"/machine.slice/machine-qemu\\x2d1.scope/libvirt/emulator":                       {Unit: "machine-qemu\\x2d1.scope"},
		"/system.slice": {}, "/user.slice/user-1000.slice": {}, "/": {}, "": {}, "//": {}, "/.service": {}, ":": {},

		// Names that look like containers but have no valid identifier.
		"/system.slice/docker-" + id1[1:] + ".scope": {Unit: "docker-" + id1[1:] + ".scope"},
		"/docker/" + id1 + "0":                       {},
		"/docker/" + strings.ToUpper(id1):            {},
		"/docker/abc":                                {},
		"/system.slice/other-" + id1 + ".scope":      {Unit: "other-" + id1 + ".scope"},
		"/kubepods/burstable/podcast":                {},
	} {
		if got := ParseCgroup(path); got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", path, got, want)
		}
	}
}

func TestOwnerFollowsFromTheCgroupPath(t *testing.T) {
	t.Parallel()
	user := "/user.slice/user-1000.slice"
	for path, want := range map[string]string{
		"":                            "/",
		"/":                           "/",
		"/system.slice/a.service/x/y": "/system.slice/a.service",
		"/docker/" + id1 + "/docker/" + id2 + "/x":                        "/docker/" + id1,
		user + "/user@1000.service/user.slice/libpod-" + id1 + ".scope":   user,
		user + "/user@1000.service/app.slice/b.scope":                     user,
		user + "/docker-" + id1 + ".scope":                                user,
		user + "/session-3.scope":                                         user,
		user + "/user-0.slice/x":                                          user,
		"/docker/" + id1 + user + "/x":                                    "/docker/" + id1,
		"/kubepods-x-pod" + slice + ".slice:cri-containerd:" + id2 + "/y": "/kubepods-x-pod" + slice + ".slice:cri-containerd:" + id2,
		"/system.slice/a.service/docker-" + id1 + ".scope":                "/system.slice/a.service",
		"/batch/job7": "/batch/job7",
		"/user-x.slice/user-.slice/user-4294967296.slice": "/user-x.slice/user-.slice/user-4294967296.slice",
	} {
		if got := Locate(path).Owner; got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

// Names below a container, and below a unit in a user's slice, count as chosen by the processes there.
func TestNamesBelowAContainerAreThoseOfWhoRunsThere(t *testing.T) {
	t.Parallel()
	user := "/user.slice/user-1000.slice"
	for path, want := range map[string]Place{
		"/docker/" + id1 + "/docker/" + id2 + "/nginx.service": {
			Container: true, Known: Cgroup{ContainerID: id1, Runtime: "docker"},
			Nested: Cgroup{ContainerID: id2, Runtime: "docker", Unit: "nginx.service"},
		},
		user + "/user@1000.service/user.slice/libpod-" + id1 + ".scope": {
			User: 1000, IsUser: true, Known: Cgroup{Unit: "user@1000.service"},
			Nested: Cgroup{ContainerID: id1, Runtime: "podman", Unit: "libpod-" + id1 + ".scope"},
		},
		user + "/user@1000.service/app.slice/nginx.service": {
			User: 1000, IsUser: true, Known: Cgroup{Unit: "user@1000.service"}, Nested: Cgroup{Unit: "nginx.service"},
		},
		user + "/docker-" + id1 + ".scope": {
			User: 1000, IsUser: true, Known: Cgroup{Unit: "docker-" + id1 + ".scope"},
			Nested: Cgroup{ContainerID: id1, Runtime: "docker"},
		},
		user + "/session-3.scope":       {User: 1000, IsUser: true, Known: Cgroup{Unit: "session-3.scope"}},
		user:                            {User: 1000, IsUser: true},
		"/system.slice/nginx.service/x": {Known: Cgroup{Unit: "nginx.service"}},
		"/system.slice/web.service/libpod-payload-" + id1: {
			Known: Cgroup{ContainerID: id1, Runtime: "podman", Unit: "web.service"},
		},
		"/": {}, "": {}, "//": {}, ":": {},
	} {
		want.Path, want.Owner = path, Locate(path).Owner // TestOwnerFollowsFromTheCgroupPath checks the owner
		if got := Locate(path); got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", path, got, want)
		}
	}
}

// Names in a cgroup path count as chosen by root only down to the first directory that a user other than root can
// change.
func TestBelievedPartOfAPathEndsWhereOthersCanWrite(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	c, err := NewCgroups()
	if err != nil {
		needs.Missing(t, "%v", err)
	}
	defer c.Close()
	top := fmt.Sprintf("/crau-test-%d-delegated.slice", os.Getpid())
	folders := []string{top, top + "/web.service", top + "/web.service/docker-" + id1 + ".scope", top + "/web.service/x"}
	for _, folder := range folders {
		folder = c.Mount() + folder
		if err := os.Mkdir(folder, 0o755); err != nil {
			needs.Missing(t, "make a cgroup: %v", err)
		}
		t.Cleanup(func() { _ = unix.Rmdir(folder) })
	}
	container, unit := folders[2], folders[1]
	expect := func(what, path string, want Place) {
		t.Helper()
		want.Path = path
		delete(c.places, inodeOf(t, c.Mount()+path))
		if got, ok := c.Locate(inodeOf(t, c.Mount()+path)); got != want || !ok {
			t.Errorf("%s:\n got %+v, %t\nwant %+v", what, got, ok, want)
		}
	}
	named := Cgroup{ContainerID: id1, Runtime: "docker"}
	expect("root's", container, Place{
		Owner: container, Container: true,
		Known: Cgroup{ContainerID: id1, Runtime: "docker", Unit: "web.service"},
	})
	if err := os.Chown(c.Mount()+unit, 1000, 0); err != nil {
		t.Fatal(err)
	}
	forged := named
	forged.Unit = "docker-" + id1 + ".scope"
	expect("delegated to a user", container, Place{Owner: unit, Known: Cgroup{Unit: "web.service"}, Nested: forged})
	if err := errors.Join(os.Chown(c.Mount()+unit, 0, 0), os.Chmod(c.Mount()+unit, 0o775)); err != nil {
		t.Fatal(err)
	}
	expect("written by a group", container, Place{Owner: unit, Known: Cgroup{Unit: "web.service"}, Nested: forged})
	if err := errors.Join(os.Chmod(c.Mount()+unit, 0o755), os.Chown(c.Mount()+top, 1000, 0)); err != nil {
		t.Fatal(err)
	}
	expect("all of it", folders[3], Place{Owner: top, Nested: Cgroup{Unit: "web.service"}})
	if err := os.Chown(c.Mount()+top, 0, 0); err != nil {
		t.Fatal(err)
	}
	if got := c.LocatePath(top + "/gone.service/docker-" + id1 + ".scope"); got.Container || got.Known.Unit != "gone.service" {
		t.Errorf("of a cgroup that is gone: %+v", got)
	}
}

func TestCgroupPath(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"0::/system.slice/a.service\n": "/system.slice/a.service",
		"12:pids:/docker/" + id1 + "\n1:name=systemd:/docker/" + id1 + "\n0::/system.slice/containerd.service\n":                       "/docker/" + id1,
		"4:memory:/user.slice\n1:name=systemd:/user.slice/user-0.slice/session-1.scope\n0::/user.slice/user-0.slice/session-1.scope\n": "/user.slice/user-0.slice/session-1.scope",
		"3:cpu,cpuacct:/\n4:memory:/a\n0::/\n": "/a",
		"0::/\n":                               "/",
		"0::/with:colon/" + id1 + "\n":         "/with:colon/" + id1,
		"":                                     "",
		"nonsense\n0:\n":                       "",
	} {
		if got, ok := cgroupPath(file); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %t", file, got, ok)
		}
	}
	if path, err := Process(os.Getpid()).CgroupPath(); err != nil || !strings.HasPrefix(path, "/") {
		t.Errorf("got %q, %v", path, err)
	}
	if _, err := Process(1 << 31).CgroupPath(); err == nil {
		t.Error("found the cgroup of no process")
	}
}

// TestCgroupsAreFoundByTheirNumbers finds the paths of cgroups by file handles, and by reading the tree of cgroups.
func TestCgroupsAreFoundByTheirNumbers(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	mounted, err := NewCgroups()
	if err != nil {
		needs.Missing(t, "%v", err)
	}
	defer mounted.Close()
	folder := filepath.Join(mounted.Mount(), fmt.Sprintf("crau-test-%d-numbers.scope", os.Getpid()))
	if err := os.Mkdir(folder, 0o755); err != nil {
		needs.Missing(t, "make a cgroup: %v", err)
	}
	t.Cleanup(func() { _ = unix.Rmdir(folder) })
	for _, walk := range []bool{false, true} {
		c, err := NewCgroups()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.walk = walk
		inner := filepath.Join(folder, map[bool]string{false: "handle", true: "walk"}[walk])
		if err := os.Mkdir(inner, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Rmdir(inner) })
		want := strings.TrimPrefix(inner, c.mount)
		for range 2 {
			if got, ok := c.Path(inodeOf(t, inner)); got != want || !ok {
				t.Errorf("walk %t: got %q, %t; want %q", walk, got, ok, want)
			}
		}
		if got, ok := c.Path(inodeOf(t, c.mount)); got != "/" || !ok {
			t.Errorf("walk %t: the root is %q, %t", walk, got, ok)
		}
		for _, id := range []uint64{0, 1 << 60, inodeOf(t, inner) + 1<<32} {
			if got, ok := c.Path(id); ok {
				t.Errorf("walk %t: %d is %q", walk, id, got)
			}
		}
		// The inode number of a file within a cgroup does not count as the number of a cgroup.
		if got, ok := c.Path(inodeOf(t, filepath.Join(inner, "cgroup.procs"))); ok {
			t.Errorf("walk %t: a file is cgroup %q", walk, got)
		}
	}
}

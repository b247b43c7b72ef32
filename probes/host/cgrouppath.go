// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// Cgroup is what the path of a cgroup says about the processes in it.
type Cgroup struct {
	ContainerID string // "" outside containers
	Runtime     string // docker, containerd, cri-o or podman; "" if the path does not name the runtime
	PodUID      string // UID of the Kubernetes pod, with hyphens; "" if there is none
	Unit        string // systemd unit; below user@UID.service, the unit of that user's service manager
}

var (
	// The identifier of a container has 64 hexadecimal digits. On AWS Fargate, it has 32 hexadecimal digits, a hyphen and
	// a number.
	containerID = regexp.MustCompile(`^(?:[0-9a-f]{64}|[0-9a-f]{32}-[0-9]{8,12})$`)

	// Kubernetes writes "pod" and a UUID; in the names of systemd's slices, the UUID has _ instead of -. Static pods have
	// a hash instead of a UUID. A kubelet with a separate root cgroup adds a prefix to the names of slices, so only the
	// ends of names are compared.
	podUID = regexp.MustCompile(`(?:^|-)pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?$`)
)

// runtimes maps the names that precede container identifiers to runtimes. conmon is missing on purpose, because it
// monitors a container and does not run in it.
var runtimes = map[string]string{
	"docker":         "docker",
	"cri-containerd": "containerd",
	"nerdctl":        "containerd",
	"containerd":     "containerd",
	"crio":           "cri-o",
	"libpod":         "podman",
	"libpod-payload": "podman", // a container within the unit that podman itself runs in
}

// ParseCgroup parses the path of a cgroup of version 1 or 2, in the form of /proc/PID/cgroup. For nested containers it
// returns the innermost one. It accepts every name in the path, even if a process could have forged it; see [Locate].
func ParseCgroup(path string) Cgroup {
	var c Cgroup
	parent, user := "", false
	for _, part := range parts(path) {
		if match := podUID.FindStringSubmatch(part); match != nil {
			c.PodUID = strings.ReplaceAll(match[1], "_", "-")
		}
		if systemdUnit(part) && (c.Unit == "" || user) {
			c.Unit = part
			user = strings.HasPrefix(part, "user@")
		}
		if id, runtime := identifier(part, parent); id != "" {
			c.ContainerID, c.Runtime = id, runtime
		}
		parent = part
	}
	return c
}

// parts iterates over the parts of a path, each with the index in the path at which the part ends. Colons separate
// parts as slashes do: containerd's "slice:prefix:name" is meant for systemd but sometimes becomes the name of a
// cgroup.
func parts(path string) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		start := 0
		for i := 0; i <= len(path); i++ {
			if i < len(path) && path[i] != '/' && path[i] != ':' {
				continue
			}
			if i > start && !yield(i, path[start:i]) {
				return
			}
			start = i + 1
		}
	}
}

// identifier returns the identifier of a container if a part of a path contains one. It also returns the runtime if the
// part or its parent names the runtime.
func identifier(part, parent string) (id, runtime string) {
	name, scope := strings.CutSuffix(part, ".scope")
	if containerID.MatchString(name) && !scope {
		return name, runtimes[parent]
	}
	if dash := strings.LastIndexByte(name, '-'); dash > 0 {
		if runtime, ok := runtimes[name[:dash]]; ok && containerID.MatchString(name[dash+1:]) {
			return name[dash+1:], runtime
		}
	}
	return "", ""
}

// systemdUnit reports whether a part of a path is the name of a systemd unit, of a kind that can have processes.
func systemdUnit(part string) bool {
	for _, kind := range []string{".service", ".scope", ".socket", ".mount", ".swap"} {
		if len(part) > len(kind) && strings.HasSuffix(part, kind) {
			return true
		}
	}
	return false
}

// maxCgroupFile bounds how much of /proc/PID/cgroup is read. The file contains about a dozen paths.
const maxCgroupFile = 64 << 10

// CgroupPath returns the path of the process's cgroup. With version 1 of cgroups, a process is in several cgroups.
// CgroupPath then prefers a path that names a container, then the path of version 2 unless it is "/", then the longest
// path.
func (p Process) CgroupPath() (string, error) {
	f, err := os.Open(p.Path("cgroup"))
	if err != nil {
		return "", fmt.Errorf("read cgroup: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCgroupFile))
	if err != nil {
		return "", fmt.Errorf("read cgroup: %w", err)
	}
	path, ok := cgroupPath(string(data))
	if !ok {
		return "", errors.New("read cgroup: no paths")
	}
	return path, nil
}

// cgroupPath chooses one of the paths in the content of a file /proc/PID/cgroup, in the way of CgroupPath.
func cgroupPath(file string) (path string, ok bool) {
	best := -1
	for line := range strings.Lines(file) {
		hierarchy, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		_, candidate, found := strings.Cut(rest, ":")
		if !found || !strings.HasPrefix(candidate, "/") {
			continue
		}
		rank := len(candidate)
		if hierarchy == "0" && candidate != "/" {
			rank += 1 << 20
		}
		if ParseCgroup(candidate).ContainerID != "" {
			rank += 1 << 21
		}
		if rank > best {
			path, best = candidate, rank
		}
	}
	return path, best >= 0
}

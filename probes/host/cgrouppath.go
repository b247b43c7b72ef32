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

// Cgroup is the information about its processes that a cgroup's path contains.
type Cgroup struct {
	ContainerID string // "" outside containers
	Runtime     string // docker, containerd, cri-o or podman; "" if the path does not name it
	PodUID      string // Kubernetes pod, with dashes
	Unit        string // systemd unit; below a user's own systemd, that user's unit
}

var (
	// A container's identifier has 64 hexadecimal digits, or for AWS Fargate 32 and a number.
	containerID = regexp.MustCompile(`^(?:[0-9a-f]{64}|[0-9a-f]{32}-[0-9]{8,12})$`)

	// Kubernetes writes "pod" and a UUID; systemd's slices have _ instead of -. Static pods have a hash instead. A kubelet
	// with a separate root cgroup adds a prefix to the names of slices, so only their ends are compared.
	podUID = regexp.MustCompile(`(?:^|-)pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?$`)
)

// runtimes maps the prefixes of container identifiers to runtimes. conmon is missing on purpose, because it monitors a
// container and does not run in it.
var runtimes = map[string]string{
	"docker":         "docker",
	"cri-containerd": "containerd",
	"nerdctl":        "containerd",
	"containerd":     "containerd",
	"crio":           "cri-o",
	"libpod":         "podman",
	"libpod-payload": "podman", // in the unit that podman itself runs in
}

// ParseCgroup parses the path of a cgroup in the form of /proc/PID/cgroup, of version 1 or 2. For nested containers it
// returns the innermost. It believes every name: see [Locate].
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

// parts iterates over the parts of a path, with the index at which each of them ends. Colons count as slashes:
// containerd's "slice:prefix:name" is meant for systemd but sometimes becomes the name of a cgroup.
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

// identifier returns the container's identifier in a part of a path. It also returns the runtime if the part or its
// parent names it.
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

// systemdUnit reports whether a part of a path is a kind of unit that has processes.
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

// CgroupPath returns the path of the process's cgroup. If there are several, it is one that names a container, else the
// path of version 2, else the longest.
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

// cgroupPath chooses a path from the content of a file /proc/PID/cgroup.
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

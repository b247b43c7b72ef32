// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// Cgroup is what the path of a cgroup tells about the processes in it.
type Cgroup struct {
	ContainerID string // "" outside of containers
	Runtime     string // docker, containerd, cri-o or podman; "" where the path does not tell
	PodUID      string // Kubernetes pod, with dashes
	Unit        string // of systemd; below a user's own systemd, that user's
}

var (
	// A container's identifier: 64 hexadecimal digits, or for AWS Fargate 32
	// and a number.
	containerID = regexp.MustCompile(`^(?:[0-9a-f]{64}|[0-9a-f]{32}-[0-9]{8,12})$`)

	// Kubernetes: "pod" and a UUID, in which systemd's slices have _ for -;
	// static pods have a hash instead. A kubelet with a root cgroup of its own
	// adds to the names of slices, so only their ends count.
	podUID = regexp.MustCompile(`(?:^|-)pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?$`)
)

// runtimes are the names that runtimes put before an identifier, in scopes of
// systemd and else. Those of conmon, which only watches over a container, are
// not among them.
var runtimes = map[string]string{
	"docker":         "docker",
	"cri-containerd": "containerd",
	"nerdctl":        "containerd",
	"containerd":     "containerd",
	"crio":           "cri-o",
	"libpod":         "podman",
	"libpod-payload": "podman", // in the unit that podman itself runs in
}

// ParseCgroup parses the path of a cgroup, as /proc/PID/cgroup has it for
// version 1 and 2. Of containers within containers, the innermost is told.
func ParseCgroup(path string) Cgroup {
	c, _ := parseCgroup(path)
	return c
}

// parseCgroup also returns the path of the outermost container.
func parseCgroup(path string) (c Cgroup, outermost string) {
	parent, user := "", false
	for at, part := range parts(path) {
		if match := podUID.FindStringSubmatch(part); match != nil {
			c.PodUID = strings.ReplaceAll(match[1], "_", "-")
		}
		if systemdUnit(part) && (c.Unit == "" || user) {
			c.Unit = part
			user = strings.HasPrefix(part, "user@")
		}
		id, runtime := identifier(part, parent)
		if id != "" {
			c.ContainerID, c.Runtime = id, runtime
			if outermost == "" {
				outermost = path[:at]
			}
		}
		parent = part
	}
	return c, outermost
}

// parts iterates over the parts of a path, and where each of them ends. The
// colons of containerd's "slice:prefix:name", meant for systemd but sometimes
// taken for the name of a cgroup, count as slashes.
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

// identifier returns the container's identifier in a part of a path, and the
// runtime where the part or the one above tells it.
func identifier(part, parent string) (id, runtime string) {
	name, scope := strings.CutSuffix(part, ".scope")
	if containerID.MatchString(name) && !scope {
		return name, runtimes[parent]
	}
	if at := strings.LastIndexByte(name, '-'); at > 0 {
		if runtime, ok := runtimes[name[:at]]; ok && containerID.MatchString(name[at+1:]) {
			return name[at+1:], runtime
		}
	}
	return "", ""
}

// systemdUnit says whether a part of a path is a unit that has processes.
func systemdUnit(part string) bool {
	for _, kind := range []string{".service", ".scope", ".socket", ".mount", ".swap"} {
		if len(part) > len(kind) && strings.HasSuffix(part, kind) {
			return true
		}
	}
	return false
}

// limitGroup returns who has to share limits: the outermost container, the
// unit, or the user. Whatever is below, those in it can make up.
func limitGroup(path string) string {
	if _, container := parseCgroup(path); container != "" {
		return container
	}
	for at, part := range parts(path) {
		if systemdUnit(part) || strings.HasPrefix(part, "user-") && strings.HasSuffix(part, ".slice") {
			return path[:at]
		}
	}
	if path == "" {
		return "/"
	}
	return path
}

// maxCgroupFile bounds what is read of /proc/PID/cgroup: a dozen paths.
const maxCgroupFile = 64 << 10

// CgroupOf returns the path of a process's cgroup: the one that tells a
// container if there is any, else that of version 2, else the longest.
func CgroupOf(pid uint32) (string, error) {
	f, err := os.Open(procPath(pid, "cgroup"))
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

// cgroupPath chooses from a file /proc/PID/cgroup.
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

// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// BuildAgent builds crau-otel without cgo, as for a release, and writes it to the path to. root is the path of the
// repository's root.
func BuildAgent(root, to string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-o", to, "./cmd/crau-otel")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return build(cmd, "crau-otel")
}

// BuildSample builds the sample program into the folder dir: as sample, linked dynamically, and as sample-static,
// linked statically.
func BuildSample(root, dir string) error {
	return build(exec.Command("make", "-s", "-C", filepath.Join(root, "examples/sample"), "BIN="+dir), "sample program")
}

// CompileC compiles C files against examples/include with the compiler $CC, or cc if it is unset, and writes the result
// to the path to.
func CompileC(root, to string, args ...string) error {
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	args = append([]string{"-std=gnu11", "-O2", "-I", filepath.Join(root, "examples/include"), "-o", to}, args...)
	return build(exec.Command(cc, args...), filepath.Base(to)) //nolint:gosec // the user's compiler
}

func build(cmd *exec.Cmd, name string) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return nil
}

// CopyFile makes an executable copy of a file and creates missing folders. The copy has a new inode, so probes attached
// to the original are not attached to the copy.
func CopyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // anyone may run the programs in it
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	// A child that another goroutine forks during the copy would inherit the descriptor that is open for writing, and
	// executing the copy would fail with ETXTBSY until the child closes it.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755) //nolint:gosec // an executable file
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(fmt.Errorf("copy %s: %w", from, err), out.Close())
	}
	return out.Close()
}

var firedField = regexp.MustCompile(`=(\d+)`)

// ParseFired returns how many probe hits the sample program reports. Its output ends with a line such as "fired
// new_context=2 data=5 ...".
func ParseFired(out string) (hits int, err error) {
	_, fired, ok := strings.Cut(out, "fired ")
	if !ok {
		return 0, fmt.Errorf("parse output of the sample program: it does not say what it fired: %s", out)
	}
	for _, m := range firedField.FindAllStringSubmatch(fired, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return 0, fmt.Errorf("parse output of the sample program: %w", err)
		}
		hits += n
	}
	return hits, nil
}

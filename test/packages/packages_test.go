// SPDX-License-Identifier: Apache-2.0

//go:build packages

// Package packages installs the packages that `make dist` builds into Debian systems in chroots, and runs the agent
// there as its systemd unit would.
package packages

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

// suites are the Debian releases in which the packages are tested.
var suites = []string{"bookworm", "sid"}

// variable returns the value of an environment variable that the Makefile sets. The test fails if it is not set.
func variable(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: make test-packages sets it", name)
	}
	return value
}

// run runs a command and returns its output. If the command fails, so does the test.
func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// system is a Debian system in a folder, for chroot.
type system struct{ path string }

// newSystem returns a fresh minimal Debian system of a suite.
func newSystem(t *testing.T, suite string) system {
	t.Helper()
	cache := filepath.Join(variable(t, "CHROOTS"), suite)
	if _, err := os.Stat(filepath.Join(cache, "bin/sh")); err != nil {
		t.Fatalf("%s is not there: make test-packages builds it", cache)
	}
	s := system{filepath.Join(t.TempDir(), suite)}
	run(t, nil, "cp", "-a", "--reflink=auto", cache, s.path)
	for _, dir := range []string{"proc", "sys"} {
		s.mount(t, dir)
	}
	return s
}

// run runs a command in the system, by chroot.
func (s system) run(t *testing.T, command ...string) string {
	t.Helper()
	return run(t, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"},
		"chroot", append([]string{s.path}, command...)...)
}

// fails reports whether a command inside the system fails.
func (s system) fails(command ...string) bool {
	return exec.Command("chroot", append([]string{s.path}, command...)...).Run() != nil
}

func (s system) add(t *testing.T, file string) string {
	t.Helper()
	name := "/root/" + filepath.Base(file)
	run(t, nil, "cp", file, s.path+name)
	return name
}

func (s system) exists(path string) bool {
	_, err := os.Lstat(s.path + path)
	return err == nil
}

// released returns the path of the only file of the release whose name ends with suffix.
func released(t *testing.T, suffix string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(variable(t, "DIST"), "*"+suffix))
	if err != nil || len(files) != 1 {
		t.Fatalf("files *%s of the release: %q, %v", suffix, files, err)
	}
	return files[0]
}

// older builds a package with the same content as the released one and a lower version, and returns its path.
func older(t *testing.T, packager string) string {
	t.Helper()
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, nil, "tar", "-xf", released(t, "_amd64.tar.gz"), "--strip-components=1", "-C", tree)
	cmd := exec.Command("bin/nfpm", "package", "--config", "packaging/nfpm.yaml", "--packager", packager, "--target", dir)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "ARCH=amd64", "PACKAGE_VERSION=0.0.0~a", "TREE="+tree)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*."+packager))
	if err != nil || len(files) != 1 {
		t.Fatalf("packages: %q, %v", files, err)
	}
	return files[0]
}

const (
	configFile = "/etc/crau-otel/crau-otel.yaml"
	ownLine    = "# a line of the administrator's own\n"
)

// edit appends a line to the configuration file, as an administrator would.
func (s system) edit(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile(s.path+configFile, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(ownLine); err != nil {
		t.Fatal(err)
	}
}

func (s system) edited(t *testing.T) bool {
	t.Helper()
	content, err := os.ReadFile(s.path + configFile)
	return err == nil && bytes.HasSuffix(content, []byte(ownLine))
}

// expectInstalled checks that the files that both kinds of package install exist.
func (s system) expectInstalled(t *testing.T) {
	t.Helper()
	for _, path := range []string{
		"/usr/bin/crau-otel", configFile, "/etc/default/crau-otel", "/usr/lib/systemd/system/crau-otel.service",
		"/usr/share/bash-completion/completions/crau-otel", "/usr/include/crau.h",
	} {
		if !s.exists(path) {
			t.Errorf("%s is not installed", path)
		}
	}
	if got := s.run(t, "id", "-un", "crau-otel"); got != "crau-otel\n" {
		t.Errorf("the user is %q", got)
	}
	if got := s.run(t, "crau-otel", "version"); !strings.HasPrefix(got, "crau-otel ") {
		t.Errorf("version: %q", got)
	}
	s.run(t, "systemd-analyze", "verify", "--man=no", "crau-otel.service")
}

func TestDebIsInstalledUpgradedRemovedAndPurged(t *testing.T) {
	old := older(t, "deb")
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			s := newSystem(t, suite)
			s.run(t, "dpkg", "--install", s.add(t, old))
			s.expectInstalled(t)
			s.edit(t)

			s.run(t, "dpkg", "--install", s.add(t, released(t, "_amd64.deb")))
			s.expectInstalled(t)
			if !s.edited(t) {
				t.Error("the upgrade replaced the administrator's configuration")
			}
			s.runService(t)

			s.run(t, "dpkg", "--remove", "crau-otel")
			if s.exists("/usr/bin/crau-otel") || !s.edited(t) {
				t.Error("after the removal the program is there or the configuration is not")
			}
			s.run(t, "dpkg", "--purge", "crau-otel")
			if s.exists("/etc/crau-otel") || s.exists("/etc/default/crau-otel") {
				t.Error("after the purge configuration is left")
			}
			if !s.fails("dpkg", "--status", "crau-otel") {
				t.Error("after the purge the package is known")
			}
		})
	}
}

func TestRPMIsInstalledUpgradedAndRemoved(t *testing.T) {
	s := newSystem(t, "bookworm")
	s.run(t, "rpm", "--initdb")
	s.run(t, "rpm", "--install", "--nodeps", s.add(t, older(t, "rpm")))
	s.expectInstalled(t)
	s.edit(t)
	s.run(t, "rpm", "--upgrade", "--nodeps", s.add(t, released(t, ".x86_64.rpm")))
	s.expectInstalled(t)
	if !s.edited(t) {
		t.Error("the upgrade replaced the administrator's configuration")
	}
	s.run(t, "rpm", "--erase", "crau-otel")
	if s.exists("/usr/bin/crau-otel") {
		t.Error("after the removal the program is there")
	}
}

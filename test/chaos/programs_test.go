// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

const (
	root   = "../.." // path of the repository
	e2e    = "../e2e/testdata/"
	nobody = 65534
)

// programs are the paths of the built programs, in a folder that everybody may read.
type programs struct {
	dir, guests                   string
	agent, steady, sample, static string
	hang, attack                  string
	library, reloads              string // a library that is loaded repeatedly, and the program that loads it
	mixes                         string // a program that uses libmix.so, which has two versions
	mixed                         [2]mixed
	certificate                   tls.Certificate // used by TLS servers
}

// mixed is a version of libmix.so, and the output of a program that uses it.
type mixed struct{ path, prints string }

func build(t *testing.T) *programs {
	t.Helper()
	dir, err := os.MkdirTemp("/opt", "crau-chaos-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	in := func(name string) string { return filepath.Join(dir, name) }
	p := &programs{
		dir: dir, guests: in("guests"), agent: in("crau-otel"), sample: in("sample"), static: in("sample-static"),
		steady: in("steady"),
	}
	for _, folder := range []string{dir, p.guests} {
		_ = os.Mkdir(folder, 0o755)
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := harness.BuildAgent(root, p.agent); err != nil {
		t.Fatal(err)
	}
	if err := harness.BuildSample(root, dir); err != nil {
		t.Fatal(err)
	}
	compile := func(name string, args ...string) string { return harness.Compile(t, root, in(name), args...) }
	library := func(name string, args ...string) string { return compile(name, append(args, "-shared", "-fPIC")...) }
	compile("steady", "testdata/steady.c")
	p.hang = compile("hang", "-w", e2e+"fusehang.c")
	p.attack = compile("attack", "../adversary/testdata/attack.c")
	p.library = library("library.so", e2e+"library.c")
	p.reloads = compile("reloads", "testdata/reloads.c")
	for i, define := range []string{"-DOLD", "-DNEW"} {
		p.mixed[i].path = library("libmix.so", define, "-Wl,-soname,libmix.so", e2e+"overwritten.c")
		p.mixes = compile("mixes", e2e+"mixes.c", p.mixed[i].path, "-Wl,-rpath,$ORIGIN")
		out, err := exec.Command(p.mixes).Output()
		if err != nil {
			t.Fatal(err)
		}
		p.mixed[i] = mixed{harness.Copy(t, p.mixed[i].path, in(fmt.Sprintf("libmix%d.so", i))), string(out)}
	}
	if p.certificate, err = tls.X509KeyPair(harness.NewAuthority(t, "chaos").Issue(t)); err != nil {
		t.Fatal(err)
	}
	return p
}

// folder makes a folder for a guest and returns a function that removes it.
func (p *programs) folder(name string) (dir string, remove func(), err error) {
	if dir, err = os.MkdirTemp(p.guests, name+"-"); err != nil {
		return "", nil, err
	}
	return dir, func() { _ = os.RemoveAll(dir) }, os.Chmod(dir, 0o755)
}

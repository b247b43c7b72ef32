// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// generator is a running load program, compiled from testdata/load.c.
type generator struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startGenerator(path string) (*generator, error) {
	g := &generator{cmd: exec.Command(path)}
	g.cmd.Stderr = os.Stderr
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	g.out = bufio.NewReader(out)
	if g.in, err = g.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return g, g.cmd.Start()
}

// fired is the result of one command of the load program.
type fired struct {
	hits      uint64
	cpu, wall time.Duration // cpu is the sum over all threads
}

func (g *generator) do(format string, args ...any) (f fired, err error) {
	if _, err := fmt.Fprintf(g.in, format+"\n", args...); err != nil {
		return f, fmt.Errorf("load: %w", err)
	}
	if _, err := fmt.Fscan(g.out, &f.hits, &f.cpu, &f.wall); err != nil {
		return f, fmt.Errorf("load: read result: %w", err)
	}
	return f, nil
}

func (g *generator) Close() {
	_ = g.in.Close()
	_ = g.cmd.Wait()
}

func buildLoad(cfg config, file string, site int) error {
	args := []string{"-g", filepath.Join(cfg.root, "test/bench/testdata/load.c"), "-pthread"}
	if site == 1 {
		args = append(args, "-DCRAU_NOP1")
	}
	return harness.CompileC(cfg.root, file, args...)
}

// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"path"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// loaderName matches the file names of dynamic loaders: ld-linux-x86-64.so.2, ld-2.31.so, ld.so, ld-musl-aarch64.so.1,
// and musl's C library, which is also its loader.
var loaderName = regexp.MustCompile(`^(ld(64)?[-.].*so.*|libc\.so|libc\.musl-.*)$`)

// maxLoaded is the maximum number of mapped files that are examined to find the program of a process.
const maxLoaded = 1024

// loaded is the program that a dynamic loader runs.
type loaded struct{ name, buildID string }

// loadedBy returns the program of a process whose executable is a dynamic loader, as in "ld.so PROGRAM". The kernel
// records the loader as the executable, and a process can change its arguments, so loadedBy examines the files that the
// process maps as executable. If exactly one of them is a program, that is the result. The user who runs the process
// can choose its name, as with any executable.
func (r *Resolver) loadedBy(pid uint32, p event.Process, owner string) (loaded, bool) {
	if !loaderName.MatchString(p.Executable) || !alive(pid, p) {
		return loaded{}, false
	}
	process := host.Process(pid)
	question := &host.Question{Subject: host.Subject{Process: process, Owner: owner}, Urgent: true}
	result := make(chan []loaded, 1)
	question.Ask = func() { result <- programsOf(process, question.Step) }
	if r.helpers.Ask(question) == 0 {
		return loaded{}, false
	}
	programs := <-result
	if len(programs) != 1 || !executes(pid, p) {
		return loaded{}, false
	}
	return programs[0], true
}

// executes reports whether a process still executes the file that its record names.
func executes(pid uint32, p event.Process) bool {
	file, err := host.Process(pid).Executable()
	return err == nil && path.Base(strings.TrimSuffix(file, " (deleted)")) == p.Executable && alive(pid, p)
}

// programsOf returns the programs among the files that a process maps as executable. The result is empty if there are
// too many files, or if a file cannot be read. step is called before each file.
func programsOf(process host.Process, step func()) (programs []loaded) {
	var reader host.MapsReader
	files := make(map[host.MapID]host.Mapped)
	err := reader.Read(process.Path("maps"), func(m *host.Mapping) {
		files[m.ID] = host.Mapped{ID: m.ID, Path: m.Path(), Link: m.Link(process)}
	})
	if err != nil || len(files) > maxLoaded {
		return nil
	}
	root, mounts := process.Root(), host.NewMountKinds()
	for _, file := range files {
		step()
		program, err := readProgram(process, root, file, mounts)
		if err != nil {
			return nil
		} else if program != nil {
			programs = append(programs, *program)
		}
	}
	return programs
}

// readProgram reads a mapped file, and returns nil if the file is not a program.
func readProgram(process host.Process, root host.Root, file host.Mapped, mounts *host.MountKinds) (*loaded, error) {
	fd, err := file.Find(root)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	readable, st, err := host.OpenRegular(fd, process, mounts)
	if errors.Is(err, host.ErrNotRegular) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer unix.Close(readable)
	isProgram, buildID, err := probes.Program(host.Reader(readable), st.Size)
	if err != nil || !isProgram { // an error is ignored: files that are not ELF files can be mapped too
		return nil, nil
	}
	where, _, err := root.PathOf(fd, &st)
	if err != nil {
		return nil, err
	}
	return &loaded{path.Base(where), buildID}, nil
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/probes/spec"
	"github.com/crau-otel/crau-otel/tracer"
)

// attachments holds what is attached to the probe sites of files. Methods are safe for concurrent use.
type attachments struct {
	tracer *tracer.Tracer
	log    *slog.Logger

	mu        sync.Mutex
	open      []*probes.Attachment
	known     map[fileID]string      // paths of the files that are attached
	libraries [][]attribute.KeyValue // what spans say of a file, by the number that its events give
}

func newAttachments(t *tracer.Tracer, log *slog.Logger) *attachments {
	return &attachments{tracer: t, log: log, known: make(map[fileID]string)}
}

// fileID tells files apart, whatever their paths: the kernel attaches to inodes.
type fileID struct{ device, inode uint64 }

func identify(path string) (fileID, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fileID{}, fmt.Errorf("stat %s: %w", path, err)
	}
	return fileID{st.Dev, st.Ino}, nil
}

// add attaches every site of a file. What fails is logged with its name and left out.
func (a *attachments) add(file *probes.File, trusted bool) {
	for _, problem := range file.Problems {
		a.log.Warn("probe site skipped", "file", file.Path, "error", problem)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	id, err := identify(file.Path)
	if err != nil {
		a.log.Warn("no probes attached", "file", file.Path, "error", err)
		return
	}
	if other, ok := a.known[id]; ok { // attached twice, each of its events would come twice
		a.log.Debug("attached already", "file", file.Path, "as", other)
		return
	}
	number := uint32(len(a.libraries))
	var sites []probes.Site
	var cookies []uint64
	for _, site := range file.Sites {
		cookie, err := a.tracer.Add(spec.Of(site, number))
		if err != nil {
			a.log.Warn("probe site skipped", "file", file.Path, "probe", site.Probe, "offset", site.Offset, "error", err)
			continue
		}
		sites, cookies = append(sites, site), append(cookies, cookie)
	}
	attachment, err := probes.Attach(file.Path, a.tracer.Program(), a.tracer.Multi(), sites, cookies)
	if err != nil {
		a.log.Warn("not every probe attached", "file", file.Path, "error", err)
	}
	if attachment == nil {
		if err := a.tracer.Remove(cookies...); err != nil {
			a.log.Warn("cannot release probe sites", "file", file.Path, "error", err)
		}
		return
	}
	a.open = append(a.open, attachment)
	a.known[id] = file.Path
	a.libraries = append(a.libraries, describeLibrary(file, trusted).Attributes())
	a.log.Debug("attached", "file", file.Path, "sites", attachment.Attached(), "build_id", file.BuildID)
}

// count returns how many files and sites are attached.
func (a *attachments) count() (files, sites int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.open {
		sites += f.Attached()
	}
	return len(a.open), sites
}

// library returns what spans say of the file with that number.
func (a *attachments) library(number uint32) []attribute.KeyValue {
	a.mu.Lock()
	defer a.mu.Unlock()
	if int(number) >= len(a.libraries) {
		return nil
	}
	return a.libraries[number]
}

// Close detaches everything.
func (a *attachments) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	for _, f := range a.open {
		errs = append(errs, f.Close())
	}
	a.open = nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("detach probes: %w", err)
	}
	return nil
}

func describeLibrary(file *probes.File, trusted bool) mapping.Library {
	base := filepath.Base(strings.TrimSuffix(file.Path, " (deleted)"))
	lib := mapping.Library{Name: file.Soname, Path: file.Path, BuildID: file.BuildID, Trusted: trusted}
	if lib.Name == "" {
		lib.Name = base
	}
	if _, version, ok := strings.Cut(base, ".so."); ok {
		lib.Version = version
	}
	return lib
}

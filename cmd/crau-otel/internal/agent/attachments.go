// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/probes/discover"
	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/tracer"
)

// maxDetached bounds how many detached files can still be described. Trees with their spans may still be open.
const maxDetached = 4096

// attachments attaches files and keeps what is attached. Its methods are safe for concurrent use.
type attachments struct {
	tracer *tracer.Tracer
	log    *slog.Logger

	mu       sync.Mutex
	level    slog.Level // of the log lines about attaching and detaching
	closed   bool
	open     map[discover.Key]*attached
	next     uint32   // number of the next file
	detached []uint32 // numbers of detached files, oldest first

	// A lock of its own: the kernel may take seconds to detach a file, and events must not wait for that.
	describing sync.RWMutex
	libraries  map[uint32][]attribute.KeyValue // attributes of a file, by the file number in events
}

// attached is a file with attached sites.
type attached struct {
	*probes.Attachment
	path    string
	number  uint32
	cookies []uint64
}

func newAttachments(t *tracer.Tracer, log *slog.Logger) *attachments {
	return &attachments{
		tracer: t, log: log, level: slog.LevelDebug, open: make(map[discover.Key]*attached), libraries: make(map[uint32][]attribute.KeyValue),
	}
}

// add attaches every site of a file. Sites that cannot be attached are logged and skipped.
func (a *attachments) add(f *discover.File) {
	for _, problem := range f.Probes.Problems {
		a.log.Warn("probe site skipped", "file", f.Path, "error", problem)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	number := a.next
	a.describe(number, describeLibrary(f).Attributes())
	a.addStrings(f, number)
	var sites []probes.Site
	var cookies []uint64
	for _, site := range a.tracer.Place(f.Probes.Sites) {
		cookie, err := a.tracer.Add(site, number)
		if err != nil {
			a.log.Warn("probe site skipped", "file", f.Path, "probe", site.Probe, "offset", site.Offset, "error", err)
			continue
		}
		sites, cookies = append(sites, site), append(cookies, cookie)
	}
	attachment, err := probes.Attach(f.AttachPath(), a.tracer.Program(), a.tracer.Multi(), sites, cookies)
	if err != nil {
		a.log.Warn("not all probes attached", "file", f.Path, "error", err)
	}
	if attachment == nil {
		a.release(f.Path, cookies)
		a.describe(number, nil)
		return
	}
	a.next++
	a.open[f.Key] = &attached{attachment, f.Path, number, cookies}
	a.log.Log(context.Background(), a.level, "attached", "file", f.Path, "sites", attachment.Attached(), "build_id", f.Probes.BuildID, "cgroup", f.Cgroup,
		"trusted", f.Trusted, "distrust", f.Distrust)
}

// remove detaches a file.
func (a *attachments) remove(key discover.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	file, ok := a.open[key]
	if !ok {
		return
	}
	delete(a.open, key)
	if err := file.Close(); err != nil {
		a.log.Warn("not all probes detached", "file", file.path, "error", err)
		return // its sites may still be hit
	}
	a.release(file.path, file.cookies)
	a.detached = append(a.detached, file.number)
	if len(a.detached) > maxDetached {
		a.describe(a.detached[0], nil)
		a.detached = a.detached[1:]
	}
	a.log.Log(context.Background(), a.level, "detached", "file", file.path)
}

func (a *attachments) release(path string, cookies []uint64) {
	if err := a.tracer.Remove(cookies...); err != nil {
		a.log.Warn("releasing probe sites failed", "file", path, "error", err)
	}
}

// addStrings copies a file's string constants, so that the BPF program need not read them on every hit. If that fails,
// hits merely cost more.
func (a *attachments) addStrings(f *discover.File, number uint32) {
	strings := f.Probes.Strings
	if strings.Size == 0 {
		return
	}
	content, err := strings.Read(f.AttachPath())
	if err == nil {
		owner := "" // a part of the room is reserved for files that only root can write
		if !f.Trusted {
			owner = host.OwnerPath(f.Cgroup)
		}
		err = a.tracer.AddStrings(number, owner, strings.Address, content)
	}
	if err != nil {
		a.log.Debug("strings are read from the traced programs", "file", f.Path, "error", err)
	}
}

// announce raises the level of later lines about attaching and detaching, since the start has been logged.
func (a *attachments) announce() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.level = slog.LevelInfo
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

// library returns the attributes of the file with that number.
func (a *attachments) library(number uint32) []attribute.KeyValue {
	a.describing.RLock()
	defer a.describing.RUnlock()
	return a.libraries[number]
}

// describe sets what library returns for a file; nil deletes it.
func (a *attachments) describe(number uint32, attrs []attribute.KeyValue) {
	a.describing.Lock()
	defer a.describing.Unlock()
	if attrs == nil {
		delete(a.libraries, number)
	} else {
		a.libraries[number] = attrs
	}
}

// Close detaches everything. Nothing can be attached afterwards.
func (a *attachments) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	var errs []error
	for _, f := range a.open {
		errs = append(errs, f.Close())
	}
	clear(a.open)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("detach probes: %w", err)
	}
	return nil
}

func describeLibrary(f *discover.File) mapping.Library {
	base := filepath.Base(f.Path)
	lib := mapping.Library{Name: f.Probes.Soname, Path: f.Path, BuildID: f.Probes.BuildID, Trusted: f.Trusted}
	if lib.Name == "" {
		lib.Name = base
	}
	if _, version, ok := strings.Cut(base, ".so."); ok {
		lib.Version = version
	}
	return lib
}

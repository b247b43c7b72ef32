// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/leases"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/links"
	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/probes/discover"
	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/probes/untraced"
	"github.com/crau-otel/crau-otel/tracer"
)

// attachPatience is how long discovery waits for one file to be attached. Attaching can hang in two ways: reading the
// file takes as long as its file system needs, and if some sites cannot be attached, the kernel detaches the others,
// for which it waits for page faults of traced programs.
const attachPatience = 5 * time.Second

// Files attaches and detaches the probe sites of files. Its methods are safe for concurrent use, and only Close waits
// for the kernel to detach anything.
type Files struct {
	tracer    *tracer.Tracer
	links     *links.Holder
	leases    *leases.Holder
	libraries *Libraries
	limits    *limits.Monitor
	log       *slog.Logger

	mu       sync.Mutex // guards the fields below
	level    slog.Level // level of log lines about attaching and detaching
	closed   bool
	files    map[discover.Key]*attached
	next     uint32                       // file number of the next file; numbers are never reused
	retiring map[discover.Key][]*attached // files being detached, or just detached, whose sites are still registered
	detached []string                     // paths of detached files, for the next check of checkLater
	found    *discover.Discoverer         // source of the files; nil until Use sets it
}

// attached is a file that is attached or being attached.
type attached struct {
	path    string
	number  uint32
	cookies []uint64
	sites   []probes.Site
	lease   *leases.Lease // nil if there is none, for example because the file system does not support leases
	ended   chan struct{} // closed once attaching has succeeded or failed

	// Files.mu guards the fields below.
	held     *links.Held // nil until the file is attached
	attached int         // number of attached sites
	removed  bool        // detach the file once attaching has ended
}

// New returns a Files with no attached file. It pins links if the kernel and the privileges of the process allow that.
func New(t *tracer.Tracer, monitor *limits.Monitor, log *slog.Logger) *Files {
	a := &Files{
		tracer: t, leases: leases.New(), libraries: NewLibraries(), limits: monitor, log: log, level: slog.LevelDebug,
		files: make(map[discover.Key]*attached), retiring: make(map[discover.Key][]*attached),
	}
	var err error
	if a.links, err = links.New(); err != nil {
		log.Debug("links cannot be pinned; a traced program that is stuck in a page fault can delay the agent's end",
			"error", err)
	}
	return a
}

// Add attaches every site of a file, and waits for that at most attachPatience. Sites that cannot be attached are
// logged and skipped.
func (a *Files) Add(f *discover.File) {
	for _, problem := range f.Probes.Problems {
		a.log.Warn("probe site skipped", "file", f.Path, "error", problem)
	}
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return
	}
	file := &attached{path: f.Path, number: a.next, ended: make(chan struct{})}
	a.next++
	a.files[f.Key] = file
	a.libraries.describe(file.number, describeLibrary(f).Attributes())
	before := slices.Clone(a.retiring[f.Key])
	a.mu.Unlock()
	for _, old := range before {
		a.retire(f.Key, old) // the old sites would report hits twice until the kernel has detached them
	}

	content, err := f.Dup() // discovery may close f before attaching has ended
	if err != nil {
		a.log.Warn("file not attached", "file", f.Path, "error", err)
		a.forget(f.Key, file)
		a.retryLater(f, err)
		return
	}
	go func() {
		defer close(file.ended)
		defer content.Close()
		a.attach(f, file, content)
	}()
	select {
	case <-file.ended:
	case <-time.After(attachPatience):
		a.log.Warn("attaching takes long; the file is traced as soon as the kernel has attached it", "file", f.Path)
		go a.warnStuck([]string{f.Path})
	}
}

// Wait waits until attaching has succeeded or failed for every file, or until ctx is done.
func (a *Files) Wait(ctx context.Context) {
	a.mu.Lock()
	pending := slices.Collect(maps.Values(a.files))
	a.mu.Unlock()
	for _, file := range pending {
		select {
		case <-file.ended:
		case <-ctx.Done():
			return
		}
	}
}

// attach attaches the sites of a file. A process that wants to write to the file has to wait until they are detached.
func (a *Files) attach(f *discover.File, file *attached, content *os.File) {
	if !a.guard(f, file, content) {
		a.forget(f.Key, file)
		a.readAgain(f.Key)
		return
	}
	a.addStrings(f, file.number, content)
	for _, site := range a.tracer.Place(f.Probes.Sites) {
		cookie, err := a.tracer.Add(site, file.number)
		if err != nil {
			a.log.Warn("probe site skipped", "file", f.Path, "probe", site.Probe, "offset", site.Offset, "error", err)
			continue
		}
		file.sites, file.cookies = append(file.sites, site), append(file.cookies, cookie)
	}
	attachment, err := probes.Attach(host.DescriptorPath(int(content.Fd())), a.tracer.Program(), a.tracer.Multi(), file.sites, file.cookies)
	if err != nil {
		a.log.Warn("not all probes attached", "file", file.path, "error", err)
	}
	if attachment == nil {
		a.forget(f.Key, file)
		a.retryLater(f, err)
		if found := a.discoverer(); found != nil && !lacksDescriptors(err) {
			found.Refuse(f.Key, untraced.Refused, err)
		}
		return
	}
	attachedSites := attachment.Attached()
	held, err := a.links.Hold(attachment)
	if err != nil {
		a.log.Debug("link not pinned", "file", file.path, "error", err)
	}
	a.mu.Lock()
	file.held, file.attached = held, attachedSites
	unwanted := file.removed
	if !unwanted {
		a.log.Log(context.Background(), a.level, "attached", "file", file.path, "sites", attachedSites,
			"build_id", f.Probes.BuildID, "cgroup", f.Cgroup, "trusted", f.Trusted, "distrust", f.Distrust,
			"namespaced", f.Namespaced)
	}
	a.mu.Unlock()
	if unwanted {
		a.detach(f.Key, file)
	}
}

// Judge records that discovery has judged again who can write an attached file. The judgement applies to trees that end
// from now on.
func (a *Files) Judge(f *discover.File) {
	a.mu.Lock()
	defer a.mu.Unlock()
	file := a.files[f.Key]
	if file == nil {
		return
	}
	a.libraries.describe(file.number, describeLibrary(f).Attributes())
	a.log.Info("trust in an attached file has changed", "file", file.path, "trusted", f.Trusted, "distrust", f.Distrust,
		"namespaced", f.Namespaced)
}

// Costs returns how many descriptors an attached file needs: one for its lease and, if links are not pinned, one or
// more for links.
func (a *Files) Costs() discover.Costs {
	costs := discover.Costs{PerFile: 1}
	switch {
	case a.links.Pins() != nil:
	case a.tracer.Multi():
		costs.PerFile++
	default:
		costs.PerSite = 2 // a perf event and its link
	}
	return costs
}

// retryAfter is the delay until attaching is retried for a file for which no descriptors were available.
const retryAfter = 30 * time.Second

// lacksDescriptors reports whether err means that this process or the host has no file descriptor left.
func lacksDescriptors(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)
}

// retryLater schedules another attempt to attach a file, if err means that descriptors are missing. It counts the file
// as lost to that limit.
func (a *Files) retryLater(f *discover.File, err error) {
	if !lacksDescriptors(err) {
		return
	}
	a.limits.Reached(limits.Descriptors, f.LimitsOwner(), 1)
	key := f.Key
	time.AfterFunc(retryAfter, func() { a.readAgain(key) })
}

// forget drops a file of which no site was attached.
func (a *Files) forget(key discover.Key, file *attached) {
	a.release(file)
	a.libraries.forget(file.number)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.files[key] == file {
		delete(a.files, key)
	}
}

// addStrings copies a file's string constants to the tracer, so that the BPF program does not have to read them from
// the traced process on every hit. If that fails, hits take longer, but nothing is lost.
func (a *Files) addStrings(f *discover.File, number uint32, file *os.File) {
	strings := f.Probes.Strings
	if strings.Size == 0 {
		return
	}
	content, err := strings.Read(host.DescriptorPath(int(file.Fd())))
	if err == nil {
		owner := "" // a part of the limit is reserved for files without an owner, which only root can write
		if !f.RootOnly() {
			owner = f.Owner
		}
		err = a.tracer.AddStrings(number, owner, strings.Address, content)
	}
	if errors.Is(err, tracer.ErrTooManyStrings) {
		if count, due := a.limits.Reached(limits.Strings, f.LimitsOwner(), uint64(len(content))); due {
			a.log.Warn("strings are read from the traced programs, which costs time: there is no room for copies",
				"file", f.Path, "owner", f.Owner, "bytes", count)
			return
		}
	}
	if err != nil {
		a.log.Debug("strings are read from the traced programs", "file", f.Path, "error", err)
	}
}

// Announce raises the level of later log lines about attaching and detaching from debug to info. The files attached at
// start have already been logged, as a count.
func (a *Files) Announce() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.level = slog.LevelInfo
}

// Count returns the numbers of attached files and sites.
func (a *Files) Count() (files, sites int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.files {
		if f.held != nil {
			files, sites = files+1, sites+f.attached
		}
	}
	return files, sites
}

// Pins returns the root folder of the BPF file system in which links are pinned; nil if links are not pinned.
func (a *Files) Pins() *os.File { return a.links.Pins() }

// Libraries returns the descriptions of the files that were added.
func (a *Files) Libraries() *Libraries { return a.libraries }

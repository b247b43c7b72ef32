// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/tracer/event"
)

const (
	maxExamined = 16384            // processes whose result is remembered
	maxFiles    = 16384            // files that are remembered because only root can write them
	codeExpires = 30 * time.Second // time until a process is examined again, if its maps are not known to have changed
	codeRetry   = time.Second      // time until a process that could not be examined is examined again
	fileExpires = time.Minute      // time until a remembered file is judged again

	// Processes of one owner that may be examined: codeBurst immediately, and then codeRate per second. The limit is
	// necessary because services can start processes at any rate.
	codeBurst, codeRate = 64, 16
	maxBudgets          = 4096 // owners whose budget is remembered
)

// Code determines from a process's maps whether others than the host's root can write the files whose code the process
// executes. Its methods are safe for concurrent use. It misses files that a process maps and unmaps between two
// examinations, and code that a process generates.
type Code struct {
	root    host.Root
	folder  *os.File
	helpers *host.Helpers

	mu      sync.Mutex               // guards the fields below
	known   map[uint32]*examined     // by process id
	budgets map[string]*budget       // by the owner's id
	trusted map[host.MapID]time.Time // files that only root can write, and when to judge them again
}

// examined is the result of examining a process.
type examined struct {
	process event.Process
	code    mapping.Code
	stale   bool // the process's maps have changed since
	expires time.Time
}

// budget is a token bucket that bounds how many processes of an owner are examined.
type budget struct {
	remaining float64 // examinations that are allowed immediately
	updated   time.Time
}

// NewCode returns a Code without results. The caller must close it.
func NewCode(log *slog.Logger) (*Code, error) {
	root, folder, err := host.OpenHostRoot("")
	if err != nil {
		return nil, fmt.Errorf("examine code: %w", err)
	}
	return &Code{
		root: root, folder: folder, helpers: host.NewHelpers(host.HelpersConfig{Log: log, Patience: patience}),
		known: make(map[uint32]*examined), budgets: make(map[string]*budget), trusted: make(map[host.MapID]time.Time),
	}, nil
}

// Close releases the resources of the Code.
func (c *Code) Close() error {
	c.helpers.Close()
	return c.folder.Close()
}

// Changed records that the executable memory of a process may have changed.
func (c *Code) Changed(pid uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.known[pid]; e != nil {
		e.stale = true
	}
}

// Of returns the result for the maps of a process. In most calls the result is in memory; otherwise Of examines the
// process. Once a process has executed code from a file that others can write, that remains its result until it
// executes another program.
func (c *Code) Of(pid uint32, p event.Process, owner string) mapping.Code {
	now := time.Now()
	c.mu.Lock()
	e := c.known[pid]
	if e != nil && !e.process.Runs(p) {
		e = nil
	}
	if e != nil && (e.code == mapping.CodeForeign || !e.stale && now.Before(e.expires)) || !c.affordable(owner, now) {
		defer c.mu.Unlock()
		if e == nil || e.stale && e.code == mapping.CodeTrusted {
			return mapping.CodeUnknown
		}
		return e.code
	}
	if e == nil {
		if len(c.known) >= maxExamined {
			clear(c.known)
		}
		e = &examined{process: p}
		c.known[pid] = e
	}
	e.stale, e.expires = false, now.Add(codeExpires)
	before := e.code
	c.mu.Unlock()

	code := c.examine(pid, p, owner)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case code != mapping.CodeUnknown:
	case alive(pid, p):
		e.expires = now.Add(codeRetry)
	default:
		code = before // the earlier result remains valid for trees that end after the process
	}
	e.code = code
	return code
}

// affordable reports whether the budget of an owner allows another examination, and subtracts it from the budget. The
// caller must hold c.mu.
func (c *Code) affordable(owner string, now time.Time) bool {
	b := c.budgets[owner]
	if b == nil {
		if len(c.budgets) >= maxBudgets {
			maps.DeleteFunc(c.budgets, func(_ string, b *budget) bool {
				return now.Sub(b.updated) > codeBurst/codeRate*time.Second // the budget is full again
			})
		}
		if len(c.budgets) >= maxBudgets {
			return false
		}
		b = &budget{remaining: codeBurst, updated: now}
		c.budgets[owner] = b
	}
	b.remaining = min(codeBurst, b.remaining+codeRate*now.Sub(b.updated).Seconds())
	b.updated = now
	if b.remaining < 1 {
		return false
	}
	b.remaining--
	return true
}

// examine reads and judges the maps of a process.
func (c *Code) examine(pid uint32, p event.Process, owner string) mapping.Code {
	if !alive(pid, p) {
		return mapping.CodeUnknown
	}
	process, code := host.Process(pid), mapping.CodeUnknown
	question := &host.Question{Subject: host.Subject{Process: process, Owner: owner}, Urgent: true}
	result := make(chan mapping.Code, 1)
	question.Ask = func() { result <- c.readMaps(process, question.Step) }
	if c.helpers.Ask(question) == 1 {
		code = <-result
	}
	if !alive(pid, p) {
		return mapping.CodeUnknown
	}
	return code
}

// readMaps judges all files that a process maps as executable. It calls step before each file.
func (c *Code) readMaps(process host.Process, step func()) mapping.Code {
	task := process
	var reader host.MapsReader
	files := make(map[host.MapID]host.Mapped)
	read := func() error {
		return reader.Read(task.Path("maps"), func(m *host.Mapping) {
			if _, ok := files[m.ID]; !ok {
				files[m.ID] = host.Mapped{ID: m.ID, Path: m.Path(), Link: m.Link(task)}
			}
		})
	}
	err := read()
	if err == nil && len(files) == 0 {
		if task = process.OtherThread(); task != 0 {
			err = read()
		}
	}
	if err != nil || len(files) == 0 {
		return mapping.CodeUnknown
	}
	root, code := process.Root(), mapping.CodeTrusted
	for _, file := range files {
		step()
		switch c.file(process, root, file) {
		case mapping.CodeForeign:
			return mapping.CodeForeign
		case mapping.CodeUnknown:
			code = mapping.CodeUnknown
		}
	}
	return code
}

// file judges a file that a process maps. It remembers files that only root can write.
func (c *Code) file(process host.Process, root host.Root, file host.Mapped) mapping.Code {
	now := time.Now()
	c.mu.Lock()
	expires := c.trusted[file.ID]
	c.mu.Unlock()
	if now.Before(expires) {
		return mapping.CodeTrusted
	}
	code := c.judge(process, root, file)
	if code != mapping.CodeTrusted {
		// Other results are not remembered for the file, because the process may be their cause: it can mount the file where
		// others can write.
		return code
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.trusted) >= maxFiles {
		clear(c.trusted)
	}
	c.trusted[file.ID] = now.Add(fileExpires)
	return code
}

func (c *Code) judge(process host.Process, root host.Root, file host.Mapped) mapping.Code {
	fd, err := file.Find(root)
	if err != nil {
		return mapping.CodeUnknown
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return mapping.CodeUnknown
	}
	where, deleted, err := host.PathOf(fd)
	if err != nil {
		return mapping.CodeUnknown
	}
	if reason, namespaced := host.Distrust(c.root, process, root, &st, where, deleted); reason != "" || namespaced {
		return mapping.CodeForeign
	}
	return mapping.CodeTrusted
}

// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/links"
	"github.com/crau-otel/crau-otel/probes/discover"
)

const (
	// retireAfter is how long the sites of a detached file stay registered, so that hits are still reported while the
	// kernel detaches it, which takes some 50 ms. Hits that come even later count as malformed.
	retireAfter = 500 * time.Millisecond
	// stuckAfter is how long detaching may take before it is checked.
	stuckAfter = 5 * time.Second
	// stuckSearch bounds the search for the process that holds it up.
	stuckSearch = time.Second
	// maxNamed is how many files one log line names.
	maxNamed = 8
)

// remove detaches a file. A file that is still being attached is detached right after.
func (a *attachments) remove(key discover.Key) {
	a.mu.Lock()
	file := a.files[key]
	if file == nil {
		a.mu.Unlock()
		return
	}
	delete(a.files, key)
	file.removed = true
	attached := file.held != nil
	a.mu.Unlock()
	if attached {
		a.detach(key, file)
	}
}

// detach detaches an attached file without waiting.
func (a *attachments) detach(key discover.Key, file *attached) {
	a.checkLater(file.path)
	file.held.Detach(func(err error) {
		if err != nil {
			a.log.Warn("not all probes detached", "file", file.path, "error", err)
			return // its sites may still fire
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.closed {
			return
		}
		a.retiring[key] = file
		time.AfterFunc(retireAfter, func() { a.retire(key, file) })
	})
}

// retire unregisters the sites of a detached file. Its library stays described for a while, because trees with its spans
// may be open.
func (a *attachments) retire(key discover.Key, file *attached) {
	a.mu.Lock()
	due := a.retiring[key] == file && !a.closed
	if due {
		delete(a.retiring, key)
	}
	level := a.level
	a.mu.Unlock()
	if due {
		a.release(file)
		a.log.Log(context.Background(), level, "detached", "file", file.path)
		a.libraries.retire(file.number)
	}
}

// checkLater schedules a warning for the case that the kernel cannot finish detaching a file.
func (a *attachments) checkLater(path string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.detached = append(a.detached, path)
	if len(a.detached) > 1 {
		return // a check is scheduled
	}
	time.AfterFunc(stuckAfter, func() {
		a.mu.Lock()
		paths := a.detached
		a.detached = nil
		a.mu.Unlock()
		a.warnStuck(paths)
	})
}

// warnStuck warns if a traced program keeps the kernel from detaching files.
func (a *attachments) warnStuck(paths []string) {
	stuck := links.Stuck(stuckSearch)
	slow := errors.Is(a.links.Wait(time.Millisecond), links.ErrStuck)
	if len(stuck) == 0 && !slow {
		return
	}
	a.log.Warn("detaching is held up by a traced program that is stuck in a page fault at a probe; end that program or "+
		"the server of the file it reads", "count", len(paths), "files", paths[:min(len(paths), maxNamed)],
		"processes", fmt.Sprint(stuck))
}

// close detaches everything for good. It waits until everything is detached, at most for timeout; where links are
// pinned, the kernel may finish later.
func (a *attachments) close(timeout time.Duration) error {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil
	}
	a.closed = true
	var paths []string
	var files []*attached
	for _, f := range a.files {
		f.removed = true
		if f.held != nil {
			files, paths = append(files, f), append(paths, f.path)
		}
	}
	clear(a.files)
	a.mu.Unlock()
	defer a.leases.Close()

	results := make(chan error, len(files))
	for _, f := range files {
		f.held.Detach(func(err error) { results <- err })
	}
	if err := a.links.Wait(timeout); err != nil {
		a.warnStuck(paths)
		return fmt.Errorf("detach probes: %w", err)
	}
	var errs []error
	for range files {
		errs = append(errs, <-results)
	}
	if err := errors.Join(append(errs, a.links.Close())...); err != nil {
		return fmt.Errorf("detach probes: %w", err)
	}
	return nil
}

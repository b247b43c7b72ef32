// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/links"
	"github.com/crau-otel/crau-otel/probes/discover"
)

const (
	// retireAfter is how long the sites of a detached file stay registered. The kernel takes about 50 ms to detach them,
	// and hits in that time are still reported. Later hits count as malformed.
	retireAfter = 500 * time.Millisecond
	// stuckAfter is the delay from detaching a file to the check whether the kernel has finished.
	stuckAfter = 5 * time.Second
	// stuckSearch bounds the search for processes that keep the kernel from detaching.
	stuckSearch = time.Second
	// maxNamed is the maximum number of files in one log line.
	maxNamed = 8
)

// Remove detaches a file. If the file is still being attached, it is detached as soon as that has ended.
func (a *Files) Remove(key discover.Key) {
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

// detach starts to detach an attached file, and does not wait for the kernel.
func (a *Files) detach(key discover.Key, file *attached) {
	a.checkLater(file.path)
	a.mu.Lock()
	a.retiring[key] = append(a.retiring[key], file)
	a.mu.Unlock()
	file.held.Detach(func(err error) {
		if err != nil {
			a.log.Warn("not all probes detached", "file", file.path, "error", err)
			a.stopRetiring(key, file) // sites that are still attached may be hit, and stay registered
			return
		}
		time.AfterFunc(retireAfter, func() { a.retire(key, file) })
	})
}

// retire unregisters the sites of a detached file. The description of its library is kept for a while, because trees
// with spans of the file may still be open.
func (a *Files) retire(key discover.Key, file *attached) {
	if !a.stopRetiring(key, file) {
		return
	}
	a.release(file)
	a.mu.Lock()
	level := a.level
	a.mu.Unlock()
	a.log.Log(context.Background(), level, "detached", "file", file.path)
	a.libraries.retire(file.number)
}

// release unregisters the sites of a file, and lets other processes write to the file.
func (a *Files) release(file *attached) {
	if file.lease != nil {
		file.lease.Release()
	}
	if err := a.tracer.Remove(file.cookies...); err != nil {
		a.log.Warn("releasing probe sites failed", "file", file.path, "error", err)
	}
}

// stopRetiring removes a file from retiring, and reports whether it was there. After Close it does nothing and returns
// false.
func (a *Files) stopRetiring(key discover.Key, file *attached) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.Index(a.retiring[key], file)
	if i < 0 || a.closed {
		return false
	}
	if a.retiring[key] = slices.Delete(a.retiring[key], i, i+1); len(a.retiring[key]) == 0 {
		delete(a.retiring, key)
	}
	return true
}

// checkLater schedules a check whether the kernel has detached a file. The check logs a warning if a program prevents
// that.
func (a *Files) checkLater(path string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.detached = append(a.detached, path)
	if len(a.detached) > 1 {
		return // a check is already scheduled
	}
	time.AfterFunc(stuckAfter, func() {
		a.mu.Lock()
		paths := a.detached
		a.detached = nil
		a.mu.Unlock()
		a.warnStuck(paths)
	})
}

// warnStuck logs a warning if a traced program keeps the kernel from detaching files.
func (a *Files) warnStuck(paths []string) {
	stuck := links.Stuck(stuckSearch)
	slow := errors.Is(a.links.Wait(time.Millisecond), links.ErrStuck)
	if len(stuck) == 0 && !slow {
		return
	}
	a.log.Warn("detaching is held up by a traced program that is stuck in a page fault at a probe; end that program or "+
		"the server of the file it reads", "count", len(paths), "files", paths[:min(len(paths), maxNamed)],
		"processes", fmt.Sprint(stuck))
}

// Close detaches all files, and waits until they are detached, at most for timeout. No file can be attached afterwards.
// If links are pinned, the kernel may finish later.
func (a *Files) Close(timeout time.Duration) error {
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

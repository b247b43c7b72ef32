// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/probes/discover"
)

// maxRetired is the maximum number of detached files whose descriptions are kept, for spans of trees that are still
// open.
const maxRetired = 4096

// Libraries holds the descriptions of files as span attributes, by file number. Its methods are safe for concurrent
// use.
type Libraries struct {
	mu         sync.RWMutex
	attributes map[uint32][]attribute.KeyValue
	retired    []uint32 // numbers of detached files, oldest first

	changed atomic.Bool // a description was replaced since the last call of Changed
}

// NewLibraries returns an empty Libraries.
func NewLibraries() *Libraries { return &Libraries{attributes: make(map[uint32][]attribute.KeyValue)} }

// Of returns the span attributes that describe a file; nil if there is no description.
func (l *Libraries) Of(number uint32) []attribute.KeyValue {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.attributes[number]
}

// Changed reports whether a description was replaced since the last call.
func (l *Libraries) Changed() bool { return l.changed.Swap(false) }

// describe sets or replaces the description of a file. Open trees may use the description that is replaced.
func (l *Libraries) describe(number uint32, attrs []attribute.KeyValue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.attributes[number]; known {
		l.changed.Store(true)
	}
	l.attributes[number] = attrs
}

// forget drops the description of a file immediately.
func (l *Libraries) forget(number uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.attributes, number)
}

// retire marks the description of a detached file, which is dropped once [maxRetired] further files are detached.
func (l *Libraries) retire(number uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retired = append(l.retired, number)
	if len(l.retired) > maxRetired {
		delete(l.attributes, l.retired[0])
		l.retired = l.retired[1:]
	}
}

func describeLibrary(f *discover.File) mapping.Library {
	base := filepath.Base(f.Path)
	lib := mapping.Library{Name: f.Probes.Soname, Path: f.Path, BuildID: f.Probes.BuildID}
	lib.Trusted, lib.TrustedInNamespace = f.RootOnly(), f.Trusted && f.Namespaced
	if lib.Name == "" {
		lib.Name = base
	}
	if _, version, ok := strings.Cut(base, ".so."); ok {
		lib.Version = version
	}
	return lib
}

// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes/host"
)

// searchLibraries looks for the files of Rules.Libraries. If the file system of a file does not answer, nothing changes
// for that file.
func (d *disk) searchLibraries() {
	mounts := host.NewMountKinds()
	var questions []*host.Question
	answered := make(map[string]bool)
	for _, library := range d.search.rules.Libraries {
		var status host.Status
		var err error
		questions = append(questions, &host.Question{
			Subject: unknownDevice(library), // a file system that hangs must not delay the other libraries
			Ask:     func() { status, err = host.CachedStatus(library) },
			Answered: func() {
				answered[library] = d.arrive(library, status, err, mounts)
			},
		})
	}
	d.search.helpers.Ask(questions...)
	explicit := make(map[*entry]bool)
	for _, library := range d.search.rules.Libraries {
		if !answered[library] {
			d.warn(library, errSilent)
		}
		explicit[d.libraries[library]] = true
	}
	for _, e := range d.search.catalogue.files {
		e.explicit = explicit[e]
	}
}

// warn logs, once, that a library cannot be attached.
func (d *disk) warn(library string, err error) {
	if d.isFirst(library) {
		d.search.log.Warn("no probes attached", "file", library, "error", err)
	}
}

// arrive applies the status of a file of Rules.Libraries, and examines the file if it is new or has changed. It returns
// false if the file system does not answer.
func (d *disk) arrive(library string, status host.Status, err error, mounts *host.MountKinds) (answered bool) {
	if d.search.disk != d {
		return true // the rules have changed in the meantime
	}
	if err != nil {
		if e := d.libraries[library]; isHidden(err) && e != nil && !e.retired && e.refused == "" {
			d.keep(library, e, err)
			return true
		}
		d.libraries[library] = nil
		d.warn(library, err)
		return true
	}
	known, ok := d.search.catalogue.facts[status.Inode]
	if ok && known.changed == status.Changed && (known.entry == nil || known.entry.limited == nil) {
		d.libraries[library] = known.entry
		return true
	}
	at := sighting{
		link: library, path: library, root: host.Root{Path: "/"}, hostRoot: d.search.view.root, awaited: true,
	}
	var f finding
	return d.search.helpers.Ask(&host.Question{
		Subject:  unknownDevice(library),
		Ask:      func() { f = at.look(mounts) },
		Answered: func() { d.learn(library, f) },
	}) > 0
}

// isHidden reports whether an error means that the agent may not follow a path, which says nothing about the file. This
// happens if the agent was root when it attached the file and has dropped its privileges since.
func isHidden(err error) bool { return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) }

// keep keeps a library attached whose path the agent may not follow, unless the file was deleted.
func (d *disk) keep(library string, e *entry, err error) {
	if d.isFirst(library) {
		d.search.log.Warn("library cannot be reached any more; it stays attached, but a file that replaces it will not be",
			"file", library, "error", err)
	}
	var st unix.Stat_t
	fd, named := int(e.open.Fd()), true
	d.search.helpers.Ask(&host.Question{
		Subject: host.Subject{Device: e.Key.Device},
		Ask:     func() { named = unix.Fstat(fd, &st) != nil || st.Nlink > 0 },
		Answered: func() {
			if !named && d.search.disk == d {
				d.libraries[library] = nil
			}
		},
	})
}

// learn applies the finding about a file of Rules.Libraries.
func (d *disk) learn(library string, f finding) {
	if d.search.disk != d {
		f.discard()
		return
	}
	switch {
	case f.err != nil:
		d.warn(library, f.err)
	case f.entry == nil:
		d.warn(library, f.reason)
	case f.entry.refused != "":
		d.warn(library, errors.New(f.entry.refused))
	}
	d.libraries[library] = nil
	if f.err == nil {
		d.libraries[library] = d.search.learn(f, &d.finder, true)
	}
}

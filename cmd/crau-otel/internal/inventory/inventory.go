// SPDX-License-Identifier: Apache-2.0

// Package inventory lists the files of this host that have crypto_auditing probes, with the processes that map them and
// whether an agent is attached to them.
package inventory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/check"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/console"
	"github.com/crau-otel/crau-otel/probes/discover"
	"github.com/crau-otel/crau-otel/probes/host"
)

// File is a file with probes.
type File struct {
	Path      string   `json:"path"` // as its processes see it
	BuildID   string   `json:"build_id,omitempty"`
	Soname    string   `json:"soname,omitempty"`
	Sites     int      `json:"sites"`
	Problems  []string `json:"problems,omitempty"`
	Processes []uint32 `json:"processes"` // that map the file, at most 1024
	Mappers   int      `json:"process_count"`
	Container string   `json:"container_id,omitempty"`
	Unit      string   `json:"systemd_unit,omitempty"`
	Trusted   bool     `json:"trusted"`
	Distrust  string   `json:"distrust,omitempty"`
	Attached  *bool    `json:"attached"` // null if unknown
	Reason    string   `json:"reason,omitempty"`
	Untraced  string   `json:"untraced,omitempty"` // the kind of reason, see package untraced
}

// Take searches for files with probes in the same way as run does.
func Take(ctx context.Context, log *slog.Logger) (_ []File, err error) {
	files := make(map[discover.Key]*discover.File)
	d, err := discover.New(discover.Config{
		Rules: discover.Rules{Enabled: true}, Log: log,
		Found: func(f *discover.File) { files[f.Key] = f },
	})
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	check.WarnAboutBlindSpots(log)
	if err := d.Scan(ctx); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	traced, untold := tracedFiles()
	list := []File{}
	for _, e := range d.Inventory() {
		group := host.Locate(e.Cgroup).Known
		i := File{
			Path: e.Path, BuildID: e.BuildID, Soname: e.Soname, Sites: e.Sites, Processes: e.Processes, Mappers: e.Mappers,
			Container: group.ContainerID, Unit: group.Unit, Trusted: e.Trusted, Distrust: e.Distrust, Reason: e.Refused,
			Untraced: string(e.Untraced),
		}
		if e.Trusted && e.Namespaced {
			i.Trusted, i.Distrust = false, "only root of its mount namespace can write it"
		}
		if i.Processes == nil {
			i.Processes = []uint32{}
		}
		for _, problem := range e.Problems {
			i.Problems = append(i.Problems, problem.Error())
		}
		if e.Refused != "" {
			i.Reason = i.Untraced + ": " + e.Refused
		}
		switch file := files[e.Key]; {
		case file == nil:
			i.Attached = new(bool)
		case untold != nil:
			i.Reason = untold.Error()
		default:
			attached := traced.has(file)
			i.Attached = &attached
			if !attached {
				i.Reason = "no crau-otel that runs has it"
			}
		}
		list = append(list, i)
	}
	return list, nil
}

// WriteText writes a table for people.
func WriteText(w io.Writer, list []File) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "No file on this host has crypto_auditing probes.")
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "FILE\tBUILD ID\tSITES\tPROCESSES\tCONTAINER OR UNIT\tTRUSTED\tATTACHED")
	for _, i := range list {
		trusted := "yes"
		if !i.Trusted {
			trusted = "no: " + i.Distrust
		}
		attached := "unknown"
		switch {
		case i.Attached != nil && *i.Attached:
			attached = "yes"
		case i.Attached != nil:
			attached = "no"
		}
		if i.Reason != "" {
			attached += ": " + i.Reason
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", console.Phrase(i.Path), short(i.BuildID), i.Sites, i.pids(),
			console.Phrase(short(i.Container)+i.unit()), console.Phrase(trusted), console.Escape(attached))
		for _, problem := range i.Problems {
			fmt.Fprintf(tw, "  skipped: %s\n", console.Escape(problem))
		}
	}
	return tw.Flush()
}

// pids returns the number of processes that map the file, and the ids of some.
func (f *File) pids() string {
	if f.Mappers == 0 {
		return "-"
	}
	const most = 3
	text := strings.Trim(fmt.Sprint(f.Processes[:min(most, len(f.Processes))]), "[]")
	if f.Mappers > most {
		return fmt.Sprintf("%d: %s ...", f.Mappers, text)
	}
	return fmt.Sprintf("%d: %s", f.Mappers, text)
}

// unit returns the unit of a file that is in no container, "-" if that has none either.
func (f *File) unit() string {
	switch {
	case f.Container != "":
		return ""
	case f.Unit != "":
		return f.Unit
	}
	return "-"
}

// short returns the first characters of an identifier, enough to distinguish it.
func short(id string) string { return id[:min(12, len(id))] }

// SPDX-License-Identifier: Apache-2.0

// Package inventory lists the files of this host that have crypto_auditing probes, with the processes that map them and
// whether an agent is attached to them. The command crau-otel probes uses it if its arguments name no file:
//
//	list, err := inventory.Take(ctx, log, rules)
//	err = inventory.WriteText(os.Stdout, list)
//
// [Take] makes one pass of package discover in this process. It recognises a running agent by its links in the kernel.
package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/check"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/console"
	"github.com/crau-otel/crau-otel/mapping/text"
	"github.com/crau-otel/crau-otel/probes/discover"
	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/probes/untraced"
)

// File is a file with probes.
type File struct {
	Path      string   `json:"path"` // as its processes see it
	BuildID   string   `json:"build_id,omitempty"`
	Soname    string   `json:"soname,omitempty"`
	Sites     int      `json:"sites"`
	Problems  []string `json:"problems,omitempty"`
	Processes []uint32 `json:"processes"`     // ids of processes that map the file, at most 1024
	Mappers   int      `json:"process_count"` // number of processes that map the file
	Container string   `json:"container_id,omitempty"`
	Unit      string   `json:"systemd_unit,omitempty"`
	Trusted   bool     `json:"trusted"`
	Distrust  string   `json:"distrust,omitempty"`
	Attached  *bool    `json:"attached"`           // nil if unknown
	Reason    string   `json:"reason,omitempty"`   // why the file is not attached, or why Attached is unknown
	Untraced  string   `json:"untraced,omitempty"` // category of Reason, see package untraced
}

// found is a file with probes that a search has found.
type found struct {
	discover.Entry
	file     *discover.File // nil if run would not attach the file
	excluded string         // why the configuration excludes the file; "" if it does not
}

// Take searches for files with probes as the command run does with these rules. It adds the files that the rules
// exclude.
func Take(ctx context.Context, log *slog.Logger, rules discover.Rules) (_ []File, err error) {
	check.WarnAboutBlindSpots(log)
	all, d, err := search(ctx, log, rules)
	defer func() { err = errors.Join(err, release(d)) }()
	if err != nil {
		return nil, err
	}
	if !rules.Enabled || len(rules.Allow)+len(rules.Deny)+len(rules.DenyExecutables)+len(rules.DenyCgroups) > 0 {
		open := rules
		open.Enabled, open.Allow, open.Deny, open.DenyExecutables, open.DenyCgroups = true, nil, nil, nil, nil
		others, d2, err2 := search(ctx, slog.New(slog.DiscardHandler), open) // the first search has logged all problems
		defer func() { err = errors.Join(err, release(d2)) }()
		if err2 != nil {
			return nil, err2
		}
		all = merge(all, others, rules)
	}
	traced, untold := tracedFiles()
	list := []File{}
	for _, f := range all {
		list = append(list, f.describe(traced, untold))
	}
	return list, nil
}

// search searches for files with probes. The caller must close the Discoverer, after it has used the files.
func search(ctx context.Context, log *slog.Logger, rules discover.Rules) ([]found, *discover.Discoverer, error) {
	files := make(map[discover.Key]*discover.File)
	d, err := discover.New(discover.Config{Rules: rules, Log: log, Found: func(f *discover.File) { files[f.Key] = f }})
	if err != nil {
		return nil, nil, fmt.Errorf("discovery: %w", err)
	}
	if err := d.Scan(ctx); err != nil {
		return nil, d, fmt.Errorf("discovery: %w", err)
	}
	var all []found
	for _, e := range d.Inventory() {
		all = append(all, found{Entry: e, file: files[e.Key]})
	}
	return all, d, nil
}

// release closes a Discoverer, if there is one.
func release(d *discover.Discoverer) error {
	if d == nil {
		return nil
	}
	return d.Close()
}

// merge returns all, which were found with the rules, and those of others that the rules exclude, sorted by path.
func merge(all, others []found, rules discover.Rules) []found {
	known := make(map[discover.Key]int)
	for i, f := range all {
		known[f.Key] = i
	}
	for _, f := range others {
		if i, ok := known[f.Key]; !ok {
			f.excluded = rules.Excludes(f.Path)
			all = append(all, f)
		} else if all[i].file == nil {
			all[i].file = f.file // run would not attach the file, but an agent with other rules may have
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(a.Path, b.Path) })
	return all
}

// describe returns the entry of the list for a file. tracedErr is the reason why the attached sites are unknown; nil if
// traced contains them.
func (f *found) describe(traced attachedSites, tracedErr error) File {
	group := host.Locate(f.Cgroup).Known
	i := File{
		Path: text.Valid(f.Path), BuildID: f.BuildID, Soname: text.Valid(f.Soname), Sites: f.Sites, Processes: f.Processes, Mappers: f.Mappers,
		Container: group.ContainerID, Unit: text.Valid(group.Unit), Trusted: f.Trusted, Distrust: f.Distrust, Untraced: string(f.Untraced),
	}
	if f.Trusted && f.Namespaced {
		i.Trusted, i.Distrust = false, "only root of its mount namespace can write it"
	}
	if i.Processes == nil {
		i.Processes = []uint32{}
	}
	for _, problem := range f.Problems {
		i.Problems = append(i.Problems, text.Valid(problem.Error()))
	}
	reason := f.Refused
	if reason == "" && f.excluded != "" {
		i.Untraced, reason = string(untraced.Denied), f.excluded
	}
	if reason != "" {
		i.Reason = i.Untraced + ": " + reason
	}
	if f.file != nil && tracedErr != nil {
		i.Reason = tracedErr.Error()
		return i
	}
	attached := f.file != nil && traced.has(f.file)
	i.Attached = &attached
	switch {
	case attached && reason != "": // attached by an agent with another configuration
		i.Reason, i.Untraced = "", ""
	case attached:
	case i.Reason == "":
		i.Reason = "no crau-otel that runs has it; the log of one that should says why"
	}
	return i
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
			console.Phrase(short(i.Container)+i.unit()), console.Phrase(trusted), text.Name(attached))
		for _, problem := range i.Problems {
			fmt.Fprintf(tw, "  skipped: %s\n", text.Name(problem))
		}
	}
	return tw.Flush()
}

// pids returns the number of processes that map the file, and the ids of the first few, as text.
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

// unit returns the unit of a file that is not in a container, or "-" if the file has no unit.
func (f *File) unit() string {
	switch {
	case f.Container != "":
		return ""
	case f.Unit != "":
		return f.Unit
	}
	return "-"
}

// short returns the first 12 characters of an identifier, which suffice to distinguish it.
func short(id string) string { return id[:min(12, len(id))] }

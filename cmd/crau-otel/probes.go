// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/agent"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/console"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/inventory"
	"github.com/crau-otel/crau-otel/mapping/text"
	"github.com/crau-otel/crau-otel/probes"
)

func newProbesCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "probes [FILE...]",
		Short: "List the crypto_auditing probe sites of files, or all files of this host that have some",
		Example: "  crau-otel probes\n" +
			"  crau-otel probes --config /etc/crau-otel/crau-otel.yaml\n" +
			"  crau-otel probes /usr/lib/x86_64-linux-gnu/libgnutls.so.30\n" +
			"  crau-otel probes --output json bin/sample",
		RunE: func(cmd *cobra.Command, paths []string) error {
			write, writeInventory := writeSitesText, inventory.WriteText
			switch output {
			case "text":
			case "json":
				write, writeInventory = writeSitesJSON, writeJSON
			default:
				return fmt.Errorf("--output: must be text or json, got %q", output)
			}
			if len(paths) == 0 {
				log, _ := newLogger(os.Stderr, config.Log{Level: "warn", Format: config.LogFormat(cmd.Flags(), os.Environ())})
				cfg, err := config.Load(config.Default(), cmd.Flags(), os.Environ())
				if err != nil {
					return err
				}
				list, err := inventory.Take(cmd.Context(), log, agent.DiscoveryRules(cfg))
				if err != nil {
					return err
				}
				return writeInventory(cmd.OutOrStdout(), list)
			}
			var files []*probes.File
			var errs []error
			for _, path := range paths {
				file, err := probes.Open(path)
				if err != nil {
					errs = append(errs, nameSafely(err, path))
				}
				if file != nil {
					files = append(files, file)
				}
			}
			return errors.Join(append(errs, write(cmd.OutOrStdout(), files))...)
		},
	}
	config.FileFlag(cmd.Flags())
	cmd.Flags().StringVarP(&output, "output", "o", "text", "how to print: text or json")
	return cmd
}

// nameSafely returns err with path escaped in its text, so that a file name with a line feed cannot forge another line
// of the output.
func nameSafely(err error, path string) error {
	if safe := text.Name(path); safe != path {
		return errors.New(strings.ReplaceAll(err.Error(), path, safe))
	}
	return err
}

func writeSitesText(w io.Writer, files []*probes.File) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, file := range files {
		if i > 0 {
			fmt.Fprintln(tw)
		}
		fmt.Fprintf(tw, "%s: %d sites, %s", console.Phrase(file.Path), len(file.Sites), file.Machine)
		if file.Soname != "" {
			fmt.Fprintf(tw, ", soname %s", console.Phrase(file.Soname))
		}
		if file.BuildID != "" {
			fmt.Fprintf(tw, ", build id %s", file.BuildID)
		}
		fmt.Fprintln(tw)
		if len(file.Sites) > 0 {
			fmt.Fprintln(tw, "  PROBE\tOFFSET\tSEMAPHORE\tARGUMENTS")
		}
		for _, site := range file.Sites {
			semaphore := "-"
			if site.RefCtrOffset != 0 {
				semaphore = fmt.Sprintf("0x%x", site.RefCtrOffset)
			}
			fmt.Fprintf(tw, "  %s\t0x%x\t%s\t%s\n", site.Probe, site.Offset, semaphore, console.Phrase(site.Spec))
		}
		for _, problem := range file.Problems {
			fmt.Fprintf(tw, "  skipped: %s\n", text.Name(problem.Error()))
		}
	}
	return tw.Flush()
}

type jsonFile struct {
	Path     string     `json:"path"`
	Machine  string     `json:"machine"`
	Soname   string     `json:"soname,omitempty"`
	BuildID  string     `json:"build_id,omitempty"`
	Sites    []jsonSite `json:"sites"`
	Problems []string   `json:"problems,omitempty"`
}

type jsonSite struct {
	Probe     string `json:"probe"`
	Address   uint64 `json:"address"`
	Offset    uint64 `json:"offset"`
	Semaphore uint64 `json:"semaphore_offset,omitempty"`
	Arguments string `json:"arguments"`
}

// writeSitesJSON writes an array with one object per file.
func writeSitesJSON(w io.Writer, files []*probes.File) error {
	out := make([]jsonFile, 0, len(files))
	for _, file := range files {
		f := jsonFile{
			Path: text.Valid(file.Path), Machine: file.Machine.String(), Soname: text.Valid(file.Soname), BuildID: file.BuildID,
			Sites: make([]jsonSite, 0, len(file.Sites)),
		}
		for _, site := range file.Sites {
			f.Sites = append(f.Sites, jsonSite{
				Probe: site.Probe.String(), Address: site.Address, Offset: site.Offset,
				Semaphore: site.RefCtrOffset, Arguments: text.Valid(site.Spec),
			})
		}
		for _, problem := range file.Problems {
			f.Problems = append(f.Problems, text.Valid(problem.Error()))
		}
		out = append(out, f)
	}
	return writeJSON(w, out)
}

// writeJSON writes a list as an array.
func writeJSON[T any](w io.Writer, list []T) error {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	if err := enc.Encode(list); err != nil {
		return err
	}
	_, err := io.WriteString(w, console.Escape(b.String()))
	return err
}

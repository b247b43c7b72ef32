// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/check"
)

func newCheckCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say what this host can do, and what is missing for run to work",
		Long: "Say what this host can do, and what is missing for run to work, with its remedy. To find out, the BPF program is\n" +
			"loaded and attached to a function of this very program for a moment.\n\n" +
			"The exit code is 0 only if run would work; what is degraded only limits it.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write := check.Report.WriteText
			switch output {
			case "text":
			case "json":
				write = check.Report.WriteJSON
			default:
				return fmt.Errorf("--output: must be text or json, got %q", output)
			}
			facts, err := check.Gather()
			if err != nil {
				return err
			}
			report := check.Judge(facts)
			return errors.Join(write(report, cmd.OutOrStdout()), report.Err())
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "how to print: text or json")
	return cmd
}

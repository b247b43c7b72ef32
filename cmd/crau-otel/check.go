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
		Short: "Report what this host supports, and what is missing for the command run",
		Long: "Report what this host supports, what is missing for the command run, and the remedy. The check loads the BPF\n" +
			"program and briefly attaches it to a function of crau-otel itself.\n\n" +
			"The exit code is 0 if run would work, even if it is limited by degraded features.",
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

// SPDX-License-Identifier: Apache-2.0

// Crau-otel shows which cryptography the programs on a host really use, as OpenTelemetry traces.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	if err := newCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "crau-otel:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "crau-otel",
		Short:         "Show which cryptography the programs on this machine really use, as OpenTelemetry traces",
		Version:       buildVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newRunCommand(), newProbesCommand(), newCheckCommand(), newVersionCommand())
	return root
}

// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/spf13/cobra"

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "crau-otel",
		Short:         "Show which cryptography the programs on this machine really use, as OpenTelemetry traces",
		Version:       buildVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newRunCommand(), newExecCommand(), newProbesCommand(), newCheckCommand(), newVersionCommand())
	return root
}

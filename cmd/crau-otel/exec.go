// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/launch"
)

// defaultLinger is the default of --linger. It is long enough for the descendants of most commands to end, and too
// short to be noticed as a delay.
const defaultLinger = 2 * time.Second

// execName is the name of the subcommand.
const execName = "exec"

const execLong = `Run a command, and show only its own handshakes and those of its descendants.

The command runs as the user who runs crau-otel, in its process group, with its terminal, environment and descriptors.
It starts when everything is attached, so that its first handshake is seen. To run it as another
user than root, use sudo: sudo crau-otel exec -- sudo -u "$USER" curl https://example.org.

Trees are drawn on standard error as handshakes finish; standard output is the command's. Only errors are logged.
A signal that is sent to crau-otel is forwarded to the command. A signal from the terminal reaches both.

After the command has ended, crau-otel waits for its descendants, but not longer than --linger. Handshakes that are
still open are then drawn as they are.

The exit code is the command's, or 128 and the number of the signal that ended it; 127 if it was not found, 126 if it
could not be executed, and 125 if it was not started because crau-otel failed.`

// execOptions holds the flags of exec that are not keys of the configuration.
type execOptions struct {
	treeFile string
	linger   time.Duration
}

func newExecCommand() *cobra.Command {
	defaults := config.Default()
	defaults.Exporter, defaults.Log.Level = config.ExporterConsole, "error" // warnings are mostly about other programs
	var options execOptions
	cmd := &cobra.Command{
		Use:   execName + " [flags] -- COMMAND [ARGUMENT...]",
		Short: "Run a command and show its handshakes",
		Long:  execLong,
		Example: "  crau-otel exec -- curl https://example.org\n" +
			"  crau-otel exec --tree-file trees.txt -- ssh example.org true\n" +
			"  crau-otel exec --exporter otlp --linger 1m -- ./start-server.sh",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &exitError{launch.CodeFailed, errors.New("exec: no command given")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(defaults, cmd.Flags(), os.Environ())
			if err != nil {
				return &exitError{launch.CodeFailed, err}
			}
			if cfg.User != "" {
				return &exitError{launch.CodeFailed, errors.New("user: exec keeps the identity it was started with; use run")}
			}
			code, err := observe(args, cfg, options)
			if code == 0 && err == nil {
				return nil
			}
			return &exitError{code, err}
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.Flags(all, defaults)
	all.VisitAll(func(f *pflag.Flag) {
		if f.Name != "user" && f.Name != "pprof" {
			flags.AddFlag(f)
		}
	})
	flags.StringVar(&options.treeFile, "tree-file", "", "`file` to write trees to instead of standard error")
	flags.DurationVar(&options.linger, "linger", defaultLinger, "`duration` that descendants of the command may take to end")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return &exitError{launch.CodeFailed, fmt.Errorf("exec: %w", err)}
	})
	return cmd
}

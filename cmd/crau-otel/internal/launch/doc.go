// SPDX-License-Identifier: Apache-2.0

// Package launch starts a command in two steps, so that the command can be observed from its first instruction on.
//
// [Start] starts the program of this process again, with another argument 0. In the new process, [Main] waits;
// [Command.Release] then makes the process execute the command. The process is started before this process drops
// privileges, so it inherits what it would inherit from a shell: identity, environment, descriptors, limits, process
// group and terminal.
//
//	c, err := launch.Start([]string{"curl", "https://example.org"})
//	...	// observe c.PID()
//	err = c.Release()
//	code, err := c.Wait()
//
// The command stays in the process group of this process, as with time(1) and strace(1). So the command is in the
// foreground if this process is, signals of the terminal reach both, the shell stops and continues both, and a pipeline
// is one job.
package launch

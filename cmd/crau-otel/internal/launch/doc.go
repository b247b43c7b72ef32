// SPDX-License-Identifier: Apache-2.0

// Package launch starts a command in two steps, so that it can be observed from its first instruction on.
//
// [Start] starts this very program again under another name. That process will become the command, but [Main] makes it
// wait; [Command.Release] makes it execute the command. It is started before this process drops privileges, and
// inherits the same as from a shell: identity, environment, descriptors, limits, process group and terminal.
//
//	c, err := launch.Start([]string{"curl", "https://example.org"})
//	...	// observe c.PID()
//	err = c.Release()
//	code, err := c.Wait()
//
// The command stays in this process's group, as for time(1) and strace(1). So it is in the foreground if this process
// is, the terminal's signals reach both, the shell stops and continues both, and a pipeline is one job.
package launch

// SPDX-License-Identifier: Apache-2.0

package launch

import (
	"encoding/binary"
	"errors"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// heldName is argument 0 of a process that waits to become the command. The next arguments are the descriptor to wait
// on, the descriptor to report errors to, the command's path, and the command's arguments.
const heldName = "crau-otel: waiting to execute"

// heldArgs is the number of arguments before those of the command, including argument 0.
const heldArgs = 4

// Main executes the command if [Start] started this process for that; it then never returns. Otherwise it returns
// immediately. It must be called first in main.
func Main() {
	if len(os.Args) <= heldArgs || os.Args[0] != heldName {
		return
	}
	os.Exit(become(os.Args[1], os.Args[2], os.Args[3], os.Args[heldArgs:]))
}

// become waits until the process is released, and executes the command. It returns an exit code if that fails.
func become(wait, report, path string, args []string) int {
	in, errIn := strconv.Atoi(wait)
	out, errOut := strconv.Atoi(report)
	if errIn != nil || errOut != nil {
		return CodeFailed
	}
	unix.CloseOnExec(in)
	unix.CloseOnExec(out)
	if _, err := os.NewFile(uintptr(in), "hold").Read(make([]byte, 1)); err != nil {
		return CodeFailed // crau-otel has ended, or will not observe the command
	}
	var errno syscall.Errno
	_ = errors.As(syscall.Exec(path, args, os.Environ()), &errno) //nolint:gosec // running a command is the purpose
	_, _ = unix.Write(out, binary.NativeEndian.AppendUint32(nil, uint32(errno)))
	return CodeFailed
}

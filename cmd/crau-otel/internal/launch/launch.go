// SPDX-License-Identifier: Apache-2.0

package launch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Exit codes that are not the command's own, as in env(1), nohup(1) and timeout(1).
const (
	CodeFailed     = 125 // the command was not started
	CodeCannotRun  = 126 // the command was found, but cannot be executed
	CodeNotFound   = 127 // the command was not found
	codeSignalBase = 128 // plus the number of the signal that ended the command
)

// Error is the reason why a command was not executed.
type Error struct {
	Code int // exit code for crau-otel
	err  error
}

func (e *Error) Error() string { return e.err.Error() }

func (e *Error) Unwrap() error { return e.err }

// ErrorCode returns the exit code for an error of [Start] or [Command.Release].
func ErrorCode(err error) int {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Code
	}
	return CodeFailed
}

// SignalCode returns the exit code of a command that a signal ended.
func SignalCode(s os.Signal) int {
	n, _ := s.(syscall.Signal)
	return codeSignalBase + int(n)
}

// newError returns the error of a command that was not found or could not be executed.
func newError(name string, err error) *Error {
	code := CodeCannotRun
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		code = CodeNotFound
	}
	return &Error{code, fmt.Errorf("execute %s: %w", name, err)}
}

// Command is a process that waits to execute a command, or has executed it.
type Command struct {
	name    string
	process *os.Process
	hold    *os.File // pipe on which the process waits: a byte makes it execute the command, EOF makes it exit
	report  *os.File // pipe for the error number of a failed execve(2); EOF means success
}

// lowestPipe is the lowest descriptor number for the pipes in the waiting process. Smaller numbers may belong to
// descriptors that the command inherits, such as those of make's job server.
const lowestPipe = 100

// Start starts a process that waits to execute a command. It returns an [Error] if the command is not found.
func Start(args []string) (_ *Command, err error) {
	path, err := exec.LookPath(args[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		var path *fs.PathError
		if lookup := (*exec.Error)(nil); errors.As(err, &path) {
			err = path.Err // newError adds the name
		} else if errors.As(err, &lookup) {
			err = lookup.Err
		}
		return nil, newError(args[0], err)
	}
	c := &Command{name: args[0]}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	var ends [2]int // descriptors for the waiting process
	if c.hold, ends[0], err = pipe(true); err != nil {
		return nil, err
	}
	defer unix.Close(ends[0])
	if c.report, ends[1], err = pipe(false); err != nil {
		return nil, err
	}
	defer unix.Close(ends[1])
	argv := append([]string{heldName, strconv.Itoa(ends[0]), strconv.Itoa(ends[1]), path}, args...)
	c.process, err = os.StartProcess("/proc/self/exe", argv, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		return nil, fmt.Errorf("start waiting process: %w", err)
	}
	return c, nil
}

// pipe creates a pipe. It returns the end for this process, which is the writing end if writer is set, and the
// descriptor of the other end, which a child inherits.
func pipe(writer bool) (own *os.File, child int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, 0, fmt.Errorf("make pipe: %w", err)
	}
	theirs, ours := p[0], p[1]
	if !writer {
		theirs, ours = ours, theirs
	}
	defer unix.Close(theirs)
	if child, err = unix.FcntlInt(uintptr(theirs), unix.F_DUPFD, lowestPipe); err != nil {
		return nil, 0, errors.Join(fmt.Errorf("duplicate descriptor: %w", err), unix.Close(ours))
	}
	return os.NewFile(uintptr(ours), "pipe"), child, nil
}

// PID returns the id of the process, which stays the same when the process executes the command.
func (c *Command) PID() int { return c.process.Pid }

// Release makes the process execute the command. It returns an [Error] if the command could not be executed.
func (c *Command) Release() error {
	if _, err := c.hold.Write([]byte{1}); err != nil {
		return fmt.Errorf("release waiting process: %w", err)
	}
	var errno [4]byte
	switch _, err := io.ReadFull(c.report, errno[:]); {
	case errors.Is(err, io.EOF): // a successful exec has closed the descriptor
		return nil
	case err != nil:
		return fmt.Errorf("read report of waiting process: %w", err)
	}
	return newError(c.name, syscall.Errno(binary.NativeEndian.Uint32(errno[:])))
}

// Cancel ends a process that was not released, and waits until it has ended.
func (c *Command) Cancel() {
	c.close()
	_, _ = c.process.Wait()
}

// Signal sends a signal to the process. If the process has ended, it does nothing.
func (c *Command) Signal(s os.Signal) error {
	if err := c.process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("forward %v: %w", s, err)
	}
	return nil
}

// Wait waits until the process has ended, and returns its exit code. If a signal ended the process, this is 128 plus
// the signal's number, as in a shell.
func (c *Command) Wait() (code int, err error) {
	state, err := c.process.Wait()
	c.close()
	if err != nil {
		return CodeFailed, fmt.Errorf("wait for command: %w", err)
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return SignalCode(status.Signal()), nil
	}
	return state.ExitCode(), nil
}

func (c *Command) close() {
	for _, f := range []*os.File{c.hold, c.report} {
		if f != nil {
			_ = f.Close()
		}
	}
}

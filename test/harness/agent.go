// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Deadlines for waiting for an agent. They are generous, because a machine that runs tests is busy.
const (
	readyTimeout = 30 * time.Second
	logTimeout   = 30 * time.Second
	stopTimeout  = time.Minute
)

// AgentConfig configures an Agent.
type AgentConfig struct {
	// Path is the path of the crau-otel program.
	Path string
	// Args are the arguments after `crau-otel run`.
	Args []string
	// Env are environment variables for the agent. The agent does not inherit the caller's variables CRAU_* and OTEL_*.
	// Discovery is off unless CRAU_DISCOVERY_ENABLED is set, and tracing of network connections is off unless
	// CRAU_WIRE_ENABLED is set.
	Env []string
	// Stdout receives the agent's standard output. If it is nil, the output is stored and Output returns it.
	Stdout *os.File
	// SysProcAttr can start the agent as another user or in other namespaces.
	SysProcAttr *syscall.SysProcAttr
}

// Command returns a command that runs the program with the arguments and environment of the configuration.
func (cfg AgentConfig) Command() *exec.Cmd {
	cmd := exec.Command(cfg.Path, cfg.Args...)
	cmd.Env = append(privateEnvironment(), cfg.Env...)
	cmd.SysProcAttr = cfg.SysProcAttr
	return cmd
}

// privateEnvironment returns this process's environment without the variables that configure crau-otel.
func privateEnvironment() []string {
	configures := func(variable string) bool {
		return strings.HasPrefix(variable, "CRAU_") || strings.HasPrefix(variable, "OTEL_")
	}
	return append(slices.DeleteFunc(os.Environ(), configures), "CRAU_DISCOVERY_ENABLED=false", "CRAU_WIRE_ENABLED=false")
}

// Agent is a running crau-otel.
type Agent struct {
	cmd    *exec.Cmd
	output output
	ready  chan struct{} // closed when the log contains the line that says the agent is ready
	eof    chan struct{} // closed at the end of the agent's standard error
	grown  chan struct{} // receives an element when the log has grown

	mu  sync.Mutex
	log strings.Builder

	wait    sync.Once
	waitErr error
}

// NewAgent starts `crau-otel run` and waits until it is ready.
func NewAgent(cfg AgentConfig) (*Agent, error) {
	cfg.Args = append([]string{"run"}, cfg.Args...)
	a := &Agent{
		cmd: cfg.Command(), ready: make(chan struct{}), eof: make(chan struct{}), grown: make(chan struct{}, 1),
		output: output{grown: make(chan struct{}, 1)},
	}
	a.cmd.Stdout = &a.output
	if cfg.Stdout != nil {
		a.cmd.Stdout = cfg.Stdout
	}
	stderr, err := a.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := a.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start crau-otel: %w", err)
	}
	go a.follow(stderr)
	select {
	case <-a.ready:
		return a, nil
	case <-a.eof:
		err = errors.New("it ended before it was ready")
	case <-time.After(readyTimeout):
		err = fmt.Errorf("it is not ready after %s", readyTimeout)
	}
	a.Kill()
	return nil, fmt.Errorf("start crau-otel: %w\n%s", err, a.Log())
}

// follow reads the agent's log and stores it.
func (a *Agent) follow(stderr io.Reader) {
	defer close(a.eof)
	var once sync.Once
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		a.mu.Lock()
		a.log.WriteString(line + "\n")
		a.mu.Unlock()
		select {
		case a.grown <- struct{}{}:
		default:
		}
		if strings.Contains(line, "msg=ready") || strings.Contains(line, `"msg":"ready"`) {
			once.Do(func() { close(a.ready) })
		}
	}
}

// PID returns the agent's process id.
func (a *Agent) PID() int { return a.cmd.Process.Pid }

// Log returns the agent's log so far.
func (a *Agent) Log() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log.String()
}

// WaitLog waits until the log contains text.
func (a *Agent) WaitLog(text string) error { return a.WaitLogs(text, 1) }

// WaitLogs waits until the log contains text n times.
func (a *Agent) WaitLogs(text string, n int) error {
	timeout := time.After(logTimeout)
	for {
		found := strings.Count(a.Log(), text)
		if found >= n {
			return nil
		}
		select {
		case <-a.grown:
		case <-timeout:
			return fmt.Errorf("wait for log: %q %d times after %s, want %d", text, found, logTimeout, n)
		}
	}
}

// Signal sends a signal to the agent.
func (a *Agent) Signal(signal syscall.Signal) error {
	if err := a.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("send %v to crau-otel: %w", signal, err)
	}
	return nil
}

// Ended returns a channel that is closed when the agent has ended or has closed its standard error.
func (a *Agent) Ended() <-chan struct{} { return a.eof }

// Wait waits until the agent has ended and returns its state. Wait returns an error if the exit code is not 0, or if
// the agent does not end in time; the agent is then killed.
func (a *Agent) Wait() (*os.ProcessState, error) {
	a.wait.Do(func() {
		var late error
		timer := time.NewTimer(stopTimeout)
		defer timer.Stop()
		select {
		case <-a.eof:
		case <-timer.C:
			late = fmt.Errorf("still running after %s", stopTimeout)
			_ = a.cmd.Process.Kill()
			<-a.eof
		}
		a.waitErr = errors.Join(late, a.cmd.Wait())
	})
	return a.cmd.ProcessState, a.waitErr
}

// Kill ends the agent immediately with SIGKILL. It does nothing if the agent has already ended.
func (a *Agent) Kill() {
	_ = a.cmd.Process.Kill()
	_, _ = a.Wait()
}

// Stop interrupts the agent, waits for its end and returns the totals it logged.
func (a *Agent) Stop() (Totals, error) { return a.StopBy(syscall.SIGINT) }

// StopBy stops the agent with a signal, waits for its end and returns the totals it logged.
func (a *Agent) StopBy(signal syscall.Signal) (Totals, error) {
	if err := a.Signal(signal); err != nil {
		return nil, err
	}
	if _, err := a.Wait(); err != nil {
		return nil, fmt.Errorf("stop crau-otel by %v: %w\n%s", signal, err, a.Log())
	}
	return ParseTotals(a.Log())
}

// Output returns the agent's standard output. It must only be called after the agent has ended.
func (a *Agent) Output() []byte { return a.output.all() }

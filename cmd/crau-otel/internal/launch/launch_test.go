// SPDX-License-Identifier: Apache-2.0

package launch

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Main() // the process that Start starts also runs the test binary
	os.Exit(m.Run())
}

// start starts a command that creates the file made and then runs a shell script.
func start(t *testing.T, script string) (c *Command, made string) {
	t.Helper()
	made = filepath.Join(t.TempDir(), "made")
	c, err := Start([]string{"sh", "-c", ": >'" + made + "'; " + script})
	if err != nil {
		t.Fatal(err)
	}
	return c, made
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestCommandWaitsUntilItIsReleased(t *testing.T) {
	t.Parallel()
	c, made := start(t, "exit 7")
	time.Sleep(100 * time.Millisecond)
	if exists(made) {
		t.Error("the command has run")
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	if code, err := c.Wait(); code != 7 || err != nil || !exists(made) {
		t.Errorf("exit code %d, %v", code, err)
	}
	if err := c.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("a signal to a command that has ended: %v", err)
	}
}

func TestCommandThatIsCanceledNeverRuns(t *testing.T) {
	t.Parallel()
	c, made := start(t, "")
	c.Cancel()
	if exists(made) {
		t.Error("the command has run")
	}
}

func TestCommandEndedByASignal(t *testing.T) {
	t.Parallel()
	c, _ := start(t, "exec sleep 60")
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	if err := c.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if code, err := c.Wait(); code != 128+15 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
}

func TestCommandsThatCannotRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain, script := filepath.Join(dir, "plain"), filepath.Join(dir, "script")
	for path, mode := range map[string]os.FileMode{plain: 0o600, script: 0o700} {
		if err := os.WriteFile(path, []byte("no program"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]struct {
		code int
		text string
	}{
		"no-such-command": {CodeNotFound, "execute no-such-command: executable file not found in $PATH"},
		dir + "/none":     {CodeNotFound, "execute " + dir + "/none: no such file or directory"},
		plain:             {CodeCannotRun, "execute " + plain + ": permission denied"},
		dir:               {CodeCannotRun, "execute " + dir + ": is a directory"},
		script:            {CodeCannotRun, "execute " + script + ": exec format error"},
	} {
		c, err := Start([]string{name})
		if err == nil {
			err = c.Release()
			_, _ = c.Wait()
		}
		if failed := (*Error)(nil); !errors.As(err, &failed) || err.Error() != want.text || ErrorCode(err) != want.code {
			t.Errorf("%s: exit code %d, %v, want %+v", name, ErrorCode(err), err, want)
		}
	}
}

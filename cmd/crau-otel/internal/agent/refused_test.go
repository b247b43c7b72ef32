// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A refused system call is explained once, and only after the process has entered the sandbox.
func TestRefusalsAreExplained(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	level := new(slog.LevelVar)
	h := newRefusalHandler(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))
	log := slog.New(h)
	derived := log.With("a", 1).WithGroup("g")
	refusal := fmt.Errorf("pin link: %w", unix.EPERM)
	explained := func() int { return strings.Count(out.String(), "perhaps by its own sandbox") }

	log.Warn("before the sandbox", "error", refusal)
	h.state.sandboxed.Store(true)
	log.Warn("another error", "error", errors.New("operation not permitted"), "count", 1)
	level.Set(slog.LevelError)
	log.Error("as exec logs", "error", refusal)
	if n := explained(); n != 0 {
		t.Errorf("explained %d times without a cause:\n%s", n, &out)
	}
	level.Set(slog.LevelInfo)
	derived.Info("refused", "file", "x", "error", refusal)
	log.Warn("refused", "error", refusal)
	if n := explained(); n != 1 {
		t.Errorf("explained %d times, want once:\n%s", n, &out)
	}
}

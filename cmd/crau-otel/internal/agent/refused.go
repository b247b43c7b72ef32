// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// refusalHandler passes on log records. After the first record with an error that the sandbox may have caused, it logs
// a hint how to find out.
type refusalHandler struct {
	slog.Handler
	state *refusalState
}

// refusalState is shared by a handler and the handlers derived from it by WithAttrs and WithGroup.
type refusalState struct{ sandboxed, hinted atomic.Bool }

func newRefusalHandler(h slog.Handler) refusalHandler { return refusalHandler{h, new(refusalState)} }

// Handle implements [slog.Handler].
func (h refusalHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if !h.state.sandboxed.Load() || !refused(r) || !h.Enabled(ctx, slog.LevelWarn) || h.state.hinted.Swap(true) {
		return err
	}
	slog.New(h.Handler).Warn("the agent was refused an operation, perhaps by its own sandbox; the kernel's audit log names the " +
		"system call; set sandbox to false to rule that out")
	return err
}

// refused reports whether a record contains the error EPERM, with which the sandbox refuses system calls.
func refused(r slog.Record) (found bool) {
	r.Attrs(func(a slog.Attr) bool {
		err, ok := a.Value.Any().(error)
		found = ok && errors.Is(err, unix.EPERM)
		return !found
	})
	return found
}

// WithAttrs implements [slog.Handler].
func (h refusalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return refusalHandler{h.Handler.WithAttrs(attrs), h.state}
}

// WithGroup implements [slog.Handler].
func (h refusalHandler) WithGroup(name string) slog.Handler {
	return refusalHandler{h.Handler.WithGroup(name), h.state}
}

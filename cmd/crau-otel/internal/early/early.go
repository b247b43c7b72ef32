// SPDX-License-Identifier: Apache-2.0

// Package early discards log lines that libraries write while the program is initialised, because their format and
// destination are not configured yet. For example, a library of OpenTelemetry complains about environment variables in
// that phase; package export checks these variables later.
//
// It must import only the standard library, in order to be initialised before these libraries: of all packages whose
// imports are initialised, Go initialises the one whose path sorts first, and this path sorts before
// go.opentelemetry.io.
package early

import "log/slog"

func init() { slog.SetDefault(slog.New(slog.DiscardHandler)) }

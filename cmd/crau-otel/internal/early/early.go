// SPDX-License-Identifier: Apache-2.0

// Package early keeps libraries from logging while the program is initialised, before it is known in which format and
// where to: a library of OpenTelemetry reads variables then, which package export checks later.
//
// It imports only the standard library. Of packages that can be initialised next, Go takes the one whose path sorts first,
// which is this one: before go.opentelemetry.io.
package early

import "log/slog"

func init() { slog.SetDefault(slog.New(slog.DiscardHandler)) }

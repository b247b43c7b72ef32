// SPDX-License-Identifier: Apache-2.0

// Package privileges lists which capabilities crau-otel needs and why, and drops all others.
package privileges

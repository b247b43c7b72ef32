// SPDX-License-Identifier: Apache-2.0

// Package privileges knows which capabilities crau-otel needs and why, and gives up all others.
package privileges

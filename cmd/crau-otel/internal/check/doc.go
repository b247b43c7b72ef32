// SPDX-License-Identifier: Apache-2.0

// Package check finds out what this host can do for crau-otel. It gathers facts, of which the last are a real trial, and
// judges them apart from that.
package check

// SPDX-License-Identifier: Apache-2.0

// Package mapping turns the events of crypto libraries into OpenTelemetry spans: contexts into trees, keys into
// attributes. It needs neither privileges nor a kernel: it is fed decoded events and gives finished trees.
package mapping

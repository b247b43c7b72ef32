// SPDX-License-Identifier: Apache-2.0

// Package tracer loads the BPF program, owns its maps, reads and decodes the ring buffer, and counts every loss.
package tracer

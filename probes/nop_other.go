// SPDX-License-Identifier: Apache-2.0

//go:build !amd64

package probes

// TryNops returns the zero value: only x86-64 has nops that the kernel replaces.
func TryNops(bool) (NopSupport, error) { return NopSupport{}, nil }

// SPDX-License-Identifier: Apache-2.0

//go:build !amd64

package probes

// TryNops returns the zero value, because the kernel replaces nops on x86-64 only.
func TryNops(bool) (NopSupport, error) { return NopSupport{}, nil }

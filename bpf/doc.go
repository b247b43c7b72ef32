// SPDX-License-Identifier: Apache-2.0

// Package bpf holds the kernel side: the BPF program of the probes (audit.bpf.c) with what it shares with user space
// (audit.h), the one that tells of executed programs (execs.bpf.c), and the objects and Go bindings that bpf2go made of
// them, for amd64 and arm64. Building the Go code needs no clang.
package bpf

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -type crau_limit -type crau_kind -type crau_operand_kind -type crau_pair_type -type crau_flag -type crau_stat -type crau_wake -type crau_operand -type crau_spec -type crau_record -type crau_pair -type crau_process Audit audit.bpf.c -- -O2 -g -Wall -Wextra -Werror -mcpu=v3 -I.
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 Execs execs.bpf.c -- -O2 -g -Wall -Wextra -Werror -mcpu=v3 -I.

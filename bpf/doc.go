// SPDX-License-Identifier: Apache-2.0

// Package bpf contains the BPF programs, and the objects and Go bindings that bpf2go generates from them for amd64 and
// arm64.
//
//   - audit.bpf.c is the program that runs at every probe hit. It finds the site by the attach cookie, evaluates the
//     arguments (operand.h), checks the limits of the process and its owner (admit.h, share.h), reads keys and values
//     (record.h, pair.h; for most hits short.h) and writes a record to the ring buffer. The first record of a process
//     is preceded by one that identifies the process (process.h). The maps are in maps.h, and the layouts shared with
//     user space in audit.h.
//   - wire.bpf.c sends the packets that open TLS and SSH connections to user space. conn.h defines the state of a
//     connection, hello.h recognizes protocols, packet.h parses and sends a packet, and wire.h defines the layouts
//     shared with user space.
//   - execs.bpf.c reports executed programs, and processes whose executable mappings have changed.
//
// Package tracer loads the first two, package tracer/execs the third. No other package should import this one. The
// generated files are committed, so that building the Go code does not need clang; "make generate" rebuilds them.
package bpf

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -type crau_limit -type crau_kind -type crau_operand_kind -type crau_pair_type -type crau_flag -type crau_stat -type crau_wake -type crau_operand -type crau_spec -type crau_record -type crau_short -type crau_pair -type crau_process Audit audit.bpf.c -- -O2 -g -Wall -Wextra -Werror -mcpu=v3 -I.
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -type exec Execs execs.bpf.c -- -O2 -g -Wall -Wextra -Werror -mcpu=v3 -I.
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -type crau_packet -type crau_wire_limit -type crau_wire_flag -type crau_wire_stat Wire wire.bpf.c -- -O2 -g -Wall -Wextra -Werror -mcpu=v3 -I.

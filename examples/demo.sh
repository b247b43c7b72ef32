#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows the trees of two handshakes, one with a post-quantum group and one of TLS 1.2, on the console.
# usage: demo.sh CRAU_OTEL SAMPLE
set -euo pipefail
agent=$1 sample=$2

log=$(mktemp)
"$agent" run --discovery false --library "$sample" --exporter console 2> >(tee "$log" >&2) &
pid=$!
trap 'kill "$pid" 2>/dev/null || true; rm -f "$log"' EXIT

for _ in $(seq 100); do
	grep -q msg=ready "$log" && break
	kill -0 "$pid" 2>/dev/null || exit 1
	sleep 0.1
done
"$sample" --count 1 --rate 0
"$sample" --count 1 --rate 0 --version 1.2
sleep 0.5
kill -INT "$pid"
wait "$pid"

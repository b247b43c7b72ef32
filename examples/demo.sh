#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prints the trees of two handshakes: one between a client and a server of the installed openssl over loopback, which is
# traced by its connection, and one of a program with probes.
# usage: demo.sh CRAU_OTEL SAMPLE
set -euo pipefail
agent=$1 sample=$2

# Makes one connection from openssl to openssl. The agent runs this script to do so, so that both programs are its
# descendants, which it traces.
connect() {
  local dir=$1 server address
  openssl s_server -accept 127.0.0.1:0 -naccept 1 -www -cert "$dir/cert.pem" -key "$dir/key.pem" >"$dir/log" 2>&1 &
  server=$!
  for _ in {1..100}; do
    address=$(sed -n 's/^ACCEPT //p' "$dir/log")
    [[ -z $address ]] || break
    sleep 0.1
  done
  openssl s_client -connect "$address" -CAfile "$dir/cert.pem" </dev/null >"$dir/client.log" 2>&1 || {
    cat "$dir/log" "$dir/client.log" >&2
    exit 1
  }
  wait "$server"
}

if [[ $agent == connect ]]; then
  connect "$sample"
  exit
fi

if command -v openssl >/dev/null; then
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost \
    -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>"$dir/log"
  echo "A client and a server of stock openssl, as their connection shows them:"
  "$agent" exec --discovery false -- "${BASH_SOURCE[0]}" connect "$dir"
fi
echo "A program whose library has probes, which report more:"
"$agent" exec --discovery false --library "$sample" -- "$sample" --count 1 --rate 0

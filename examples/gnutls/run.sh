#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Traces gnutls-serv and gnutls-cli with crau-otel and prints the spans.
#
#   run.sh [CRAU_OTEL_ARGUMENT...]
#
# CRAU_OTEL is the path of crau-otel (default: bin/crau-otel of this repository). For GNUTLS_CACHE and GNUTLS_PRIORITIES
# see traffic.sh. The script needs the same privileges as crau-otel.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
crau_otel=${CRAU_OTEL:-$here/../../bin/crau-otel}

say() { echo "run: $*" >&2; }
die() {
  say "$*"
  [[ ! -s ${out-}/stderr ]] || cat "$out/stderr" >&2
  exit 1
}
alive() { kill -0 "$1" 2>/dev/null; }

# wait_until SECONDS COMMAND...: repeats the command until it succeeds. Fails after SECONDS.
wait_until() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
}

ready_or_dead() { grep -q ready "$out/stderr" || ! alive "$agent"; }
dead() { ! alive "$agent"; }

cleanup() {
  if [[ -n $agent ]] && alive "$agent"; then
    kill -KILL "$agent" || true
    wait "$agent" 2>/dev/null || true
  fi
  rm -rf "$out"
}

command -v "$crau_otel" >/dev/null || die "no crau-otel at $crau_otel: run make, or set CRAU_OTEL"
environment=$("$here/build.sh" ${GNUTLS_CACHE:+"$GNUTLS_CACHE"})
eval "$environment"

agent=
out=$(mktemp -d)
trap cleanup EXIT
: >"$out/stderr"

# SIGINT gets its default action here, because a shell without job control starts background programs with SIGINT
# ignored.
env --default-signal=INT "$crau_otel" run --discovery false --library "$LIBGNUTLS" --exporter console "$@" \
  >"$out/stdout" 2>"$out/stderr" </dev/null &
agent=$!
wait_until 30 ready_or_dead || die "crau-otel is not ready after 30 s"
alive "$agent" || die "crau-otel ended before it was ready"

"$here/traffic.sh" || die "no traffic"

# A tree is exported after its contexts have been idle for a while.
sleep 3
alive "$agent" || die "crau-otel ended while it was observing"
kill -INT "$agent"
wait_until 20 dead || die "crau-otel still runs 20 s after SIGINT"
status=0
wait "$agent" || status=$?
cat "$out/stderr" >&2
cat "$out/stdout"
((status == 0)) || die "crau-otel's exit status: $status"

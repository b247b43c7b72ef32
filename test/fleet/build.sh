#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the programs that the tests of a fleet need into CACHE_DIR, unless they are there already: an OpenTelemetry
# Collector, with its builder from examples/collector/builder.yaml, and Jaeger.
#
#	build.sh CACHE_DIR
set -euo pipefail
[[ $# -eq 1 ]] || { echo "usage: build.sh CACHE_DIR" >&2; exit 2; }
mkdir -p "$1"
cache=$(realpath "$1") here=$(realpath "$(dirname "$0")")
manifest=$here/../../examples/collector/builder.yaml
collector=v0.160.0 # version of the builder, and of nearly all modules in the manifest
jaeger=v1.76.0
export CGO_ENABLED=0 GOFLAGS=-mod=mod
work=$(mktemp -d "$cache/build.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

# built NAME VERSION succeeds if program NAME is in the cache in that VERSION.
built() { [[ -x $cache/$1 && $(cat "$cache/$1.version" 2>/dev/null) == "$2" ]]; }

# finish NAME moves the program $work/NAME into the cache and records its version.
finish() {
	mv "$work/$1" "$cache/$1"
	echo "$2" >"$cache/$1.version"
	echo "$1: built in $((SECONDS - started)) s"
}

version="$collector $(sha256sum <"$manifest")"
if ! built otelcol "$version"; then
	started=$SECONDS
	GOBIN=$work go install "go.opentelemetry.io/collector/cmd/builder@$collector"
	sed "s#output_path: .*#output_path: $work/source#" "$manifest" >"$work/builder.yaml"
	"$work/builder" --skip-compilation --config "$work/builder.yaml" >"$cache/otelcol.log" 2>&1 ||
		{ tail -20 "$cache/otelcol.log" >&2; exit 1; }
	(cd "$work/source" && nice go build -trimpath -ldflags "-s -w" -o "$work/otelcol" .)
	finish otelcol "$version"
fi

# Jaeger is built in its module's folder, because that folder's go.sum has the versions of the release. A copy is
# used, because the folder in the module cache is read-only.
if ! built jaeger "$jaeger"; then
	started=$SECONDS
	dir=$(cd "$work" && go mod download -json "github.com/jaegertracing/jaeger@$jaeger" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
	cp -r "$dir" "$work/jaeger-source"
	chmod -R u+w "$work/jaeger-source"
	(cd "$work/jaeger-source" && GOFLAGS='' go build -trimpath -ldflags "-s -w" -o "$work/jaeger" ./cmd/jaeger)
	finish jaeger "$jaeger"
fi

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the file tree of the container image into DIR. The Dockerfile uses it, and it works without a container engine.
#
#	packaging/image.sh DIR [VERSION]
set -euo pipefail
dir=$(realpath -m "${1:?usage: image.sh DIR [VERSION]}")
cd "$(dirname "$0")/.."
mkdir -p "$dir/usr/bin" "$dir/etc/crau-otel" "$dir/etc/ssl/certs"
CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${2:-devel}" \
	-o "$dir/usr/bin/crau-otel" ./cmd/crau-otel
install -m 644 crau-otel.yaml "$dir/etc/crau-otel/crau-otel.yaml"
# Go's default path of the system's certificate authorities.
cp /etc/ssl/certs/ca-certificates.crt "$dir/etc/ssl/certs/"

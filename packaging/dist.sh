#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the release files into DIR. For each architecture there are a tar archive with a static binary, a deb, an rpm,
# the tree of the container image, and an SBOM; one file has the checksums of all. The same commit always gives the same
# bytes, because the build uses the version of Go that go.mod names, not the installed one.
#
#	packaging/dist.sh DIR [VERSION]
set -euo pipefail
dir=$(realpath -m "${1:?usage: dist.sh DIR [VERSION]}")
cd "$(dirname "$0")/.."
version=${2:-$(git describe --tags --always --dirty 2>/dev/null || echo devel)}
tools=$PWD/bin
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
GOTOOLCHAIN=$(sed -n 's/^toolchain //p' go.mod)
export SOURCE_DATE_EPOCH CGO_ENABLED=0 GOTOOLCHAIN TZ=UTC LC_ALL=C
umask 022

# quietly COMMAND...: runs a command and shows its output only if it fails.
quietly() {
	"$@" >"$generated/log" 2>&1 || { cat "$generated/log" >&2; return 1; }
}

# The version of a package must start with a digit. That of an untagged commit must sort before that of the first
# release.
case $version in
v[0-9]*) package=${version#v} ;;
[0-9]*.*) package=$version ;;
*) package=0.0.0~git$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S).${version//-/.} ;;
esac
package=${package//-/.}

rm -rf "$dir"
mkdir -p "$dir"
generated=$(mktemp -d)
trap 'rm -rf "$generated"' EXIT
go run -tags dist ./cmd/crau-otel "$generated"

for arch in amd64 arm64; do
	tree=$generated/$arch
	mkdir -p "$tree/usr/bin" "$tree/usr/share"
	GOARCH=$arch go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$version" \
		-o "$tree/usr/bin/crau-otel" ./cmd/crau-otel
	cp -r "$generated/share/." "$tree/usr/share/"
	install -D -m 644 crau-otel.yaml "$tree/etc/crau-otel/crau-otel.yaml"
	install -D -m 644 packaging/crau-otel.service "$tree/usr/lib/systemd/system/crau-otel.service"
	install -D -m 644 packaging/sysusers.conf "$tree/usr/lib/sysusers.d/crau-otel.conf"
	install -D -m 644 packaging/environment "$tree/etc/default/crau-otel"
	install -D -m 644 LICENSE "$tree/usr/share/doc/crau-otel/copyright"
	find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	name=crau-otel_${package}_linux_$arch
	tar -C "$tree" --sort=name --owner=0 --group=0 --numeric-owner --format=ustar --transform "s,^\.,$name," -cf - . |
		gzip -n -9 >"$dir/$name.tar.gz"
	for format in deb rpm; do
		ARCH=$arch PACKAGE_VERSION=$package TREE=$tree \
			quietly "$tools/nfpm" package --config packaging/nfpm.yaml --packager "$format" --target "$dir"
	done
	# An SBOM: modules that the binary was built from, with versions, checksums and licences.
	quietly "$tools/cyclonedx-gomod" bin -json -licenses -noserial -notimestamp -version "$version" \
		-output "$dir/$name.cdx.json" "$tree/usr/bin/crau-otel"
done
(cd "$dir" && sha256sum -- * >SHA256SUMS)
ls -l "$dir"

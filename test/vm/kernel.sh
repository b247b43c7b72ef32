#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# kernel.sh VERSION CACHE_DIR
#
# Prints the path of a Debian kernel image, such as of the newest 6.1 for VERSION 6.1. What is not in CACHE_DIR yet comes from
# the package that apt would install for linux-image-amd64, but nothing is installed. The image is kept uncompressed: an
# emulated processor needs six seconds for that.
set -eu

[ $# -eq 2 ] || { echo "usage: kernel.sh VERSION CACHE_DIR" >&2; exit 2; }
version=$1
mkdir -p "$2"
cache=$(cd "$2" && pwd)

cached() {
	find "$cache" -maxdepth 1 -name "vmlinux-${version}[.-]*" | sort -V | tail -n 1
}

# The newest image that a version of linux-image-amd64 depends on.
package() {
	apt-cache show linux-image-amd64 2>/dev/null |
		sed -n 's/^Depends: \(linux-image-[^ ]*\) .*/\1/p' |
		grep -F -e "linux-image-$version." -e "linux-image-$version-" | sort -V | tail -n 1
}

# Number of the type $2 at the offset $3 of the file $1. Offsets are those of the kernel's x86 boot protocol.
field() { od -An -t "$2" -j "$3" -N "${2#u}" "$1" | tr -d ' '; }

uncompress() {
	start=$((($(field "$1" u1 0x1f1) + 1) * 512 + $(field "$1" u4 0x248)))
	length=$(($(field "$1" u4 0x24c) - 4)) # without the size that follows
	tail -c "+$((start + 1))" "$1" | head -c "$length" | xz --decompress
}

if [ -z "$(cached)" ]; then
	package=$(package)
	if [ -z "$package" ]; then
		apt-get update -qq >&2
		package=$(package)
	fi
	[ -n "$package" ] || { echo "kernel.sh: apt has no linux-image-amd64 of version $version" >&2; exit 1; }
	work=$(mktemp -d "$cache/download.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	(cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$package" >&2)
	dpkg-deb --fsys-tarfile "$work"/*.deb | tar -x -C "$work" ./boot
	uncompress "$work"/boot/vmlinuz-* >"$work/vmlinux"
	mv "$work/vmlinux" "$cache/vmlinux-${package#linux-image-}"
fi
cached

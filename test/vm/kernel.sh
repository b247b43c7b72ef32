#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Prints the path of a Debian kernel image in the cache. If the image is not there yet, it is extracted from the package
# that apt would install for linux-image-ARCH in the suite. Nothing is installed: the script downloads package lists
# into the cache, from the mirror that this machine's apt uses.
set -euo pipefail

[ $# -eq 3 ] || { echo "usage: kernel.sh ARCH SUITE CACHE_DIR" >&2; exit 2; }
arch=$1 suite=$2
mkdir -p "$3"
cache=$(cd "$3" && pwd)

cached() { find "$cache" -maxdepth 1 -name "vmlinux-$suite-$arch-*" | sort -V | tail -n 1; }

# Prints the URL of the mirror of Debian's main archive, or of its security archive for a suite such as
# bullseye-security.
mirror() {
	local want='/debian/?$'
	case $suite in *-security) want='/debian-security/?$' ;; esac
	# shellcheck disable=SC2016 # apt expands it
	apt-get indextargets --format '$(REPO_URI)' | grep -E "$want" | head -n 1
}

# Runs apt-get or apt-cache with package lists and a cache in $work, for the architecture $arch. Expired package lists
# are accepted, because those of old releases are.
private() {
	local command=$1
	shift
	"$command" -qq -o Dir::State="$work/state" -o Dir::State::status=/dev/null -o Dir::Cache="$work/cache" \
		-o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o APT::Architecture="$arch" -o APT::Architectures="$arch" -o Acquire::Languages=none \
		-o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root -o Acquire::Retries=3 "$@"
}

# Prints the number of type $2 (see od -t) at the offset $3 in the file $1. The offsets used below are those of the
# header in the kernel's x86 boot protocol.
field() { od -An -t "$2" -j "$3" -N "${2#u}" "$1" | tr -d ' '; }

# Writes the uncompressed kernel of an amd64 kernel image to standard output. Otherwise an emulated processor would need
# six seconds to decompress it at each boot.
uncompress() {
	local start length payload=$work/payload
	start=$((($(field "$1" u1 0x1f1) + 1) * 512 + $(field "$1" u4 0x248)))
	length=$(($(field "$1" u4 0x24c) - 4)) # payload without the uncompressed size, which is in its last four bytes
	dd if="$1" of="$payload" iflag=skip_bytes,count_bytes skip="$start" count="$length" bs=1M status=none
	case $(field "$payload" u4 0) in
	4247762216) zstd --decompress --quiet --stdout "$payload" ;;
	*) xz --decompress --stdout <"$payload" ;;
	esac
}

if [ -z "$(cached)" ]; then
	work=$(mktemp -d "$cache/download.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	mkdir -p "$work"/{state/lists/partial,cache/archives/partial}
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) $suite main" >"$work/sources.list"
	private apt-get update >&2
	package=$(private apt-cache show "linux-image-$arch" | sed -n 's/^Depends: .*\(linux-image-[0-9][^ ,]*\).*/\1/p' | sort -V | tail -n 1)
	[ -n "$package" ] || { echo "kernel.sh: no linux-image-$arch in $suite" >&2; exit 1; }
	binary=linux-binary-${package#linux-image-} # contains the image since Linux 7; linux-image depends on it
	private apt-cache show "$binary" >/dev/null 2>&1 || binary=$package
	(cd "$work" && private apt-get download "$binary" >&2)
	dpkg-deb --fsys-tarfile "$work"/*.deb | tar -x -C "$work" --wildcards '*/vmlinuz*'
	image=$(find "$work" -name 'vmlinuz*' -type f)
	case $arch in
	amd64) uncompress "$image" >"$work/vmlinux" ;;
	*) mv "$image" "$work/vmlinux" ;;
	esac
	mv "$work/vmlinux" "$cache/vmlinux-$suite-$arch-${package#linux-image-}"
fi
cached

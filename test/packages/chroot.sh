#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Creates a minimal Debian system of a suite, such as bookworm, in DIR, unless it is there already.
#
#	chroot.sh SUITE DIR
set -euo pipefail
[[ $# -eq 2 ]] || { echo "usage: chroot.sh SUITE DIR" >&2; exit 2; }
suite=$1 dir=$2
[[ ! -e $dir ]] || exit 0
command -v debootstrap >/dev/null || { echo "chroot.sh: debootstrap is missing: apt-get install debootstrap" >&2; exit 1; }
mkdir -p "$(dirname "$dir")"
new=$(mktemp -d "$dir.XXXXXX")
trap 'rm -rf "$new"' EXIT
chmod 755 "$new"
debootstrap --variant=minbase --include=systemd,ca-certificates,procps,rpm "$suite" "$new" \
	"$("$(dirname "$0")/../../tools/debian-mirror.sh")" >"$dir.log" || { tail "$dir.log" >&2; exit 1; }
mv "$new" "$dir"

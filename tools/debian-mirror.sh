#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prints the Debian mirror that apt is configured with: Debian's own archive if there is one, else any that is not for
# security updates. DEBIAN_MIRROR overrides it.
set -euo pipefail

if [[ -n ${DEBIAN_MIRROR-} ]]; then
	echo "$DEBIAN_MIRROR"
	exit
fi
# shellcheck disable=SC2016 # apt's own fields
targets=$(apt-get indextargets --format '$(LABEL)|$(SITE)' 'Created-By: Packages')
mirror=$(awk -F'|' '$1 == "Debian" { print $2; exit }' <<<"$targets")
[[ -n $mirror ]] || mirror=$(awk -F'|' '$2 !~ /security/ { print $2; exit }' <<<"$targets")
[[ -n $mirror ]] || { echo "debian-mirror.sh: apt has no mirror configured" >&2; exit 1; }
echo "$mirror"

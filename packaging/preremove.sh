#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs before a removal or upgrade of the package. $1 is "remove" or "upgrade" with dpkg; with rpm, it is the number of
# versions that will remain installed.
set -e

case "${1:-}" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl --no-reload disable --now crau-otel.service
	fi
	;;
esac

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs before a removal or upgrade. dpkg passes "remove" or "upgrade", rpm the number of versions that will remain.
set -e

case "${1:-}" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl --no-reload disable --now crau-otel.service
	fi
	;;
esac

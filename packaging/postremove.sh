#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs after a removal or purge of the package. The user crau-otel is not removed, because files may belong to it
# (Debian policy 9.2.2 allows both).
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
if [ "${1:-}" = purge ]; then
	rm -rf /etc/crau-otel
fi

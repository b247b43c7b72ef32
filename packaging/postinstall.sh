#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs after an installation or upgrade of the deb or rpm package.
set -e

if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers crau-otel.conf
elif ! getent passwd crau-otel >/dev/null; then
	useradd --system --user-group --no-create-home --home-dir / --shell /usr/sbin/nologin \
		--comment 'crau-otel agent' crau-otel
fi

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	# An upgrade restarts the service if it is running. An installation does not start it, because the receiver must be
	# configured first.
	systemctl try-restart crau-otel.service
fi

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# After an installation or upgrade, of the deb and the rpm.
set -e

if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers crau-otel.conf
elif ! getent passwd crau-otel >/dev/null; then
	useradd --system --user-group --no-create-home --home-dir / --shell /usr/sbin/nologin \
		--comment 'crau-otel agent' crau-otel
fi

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	# An upgrade restarts a service that runs; an installation starts none: the receiver has to be configured first.
	systemctl try-restart crau-otel.service
fi

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Looks for known vulnerabilities in the code that the commands of this module call. Those in other modules make it
# fail. Those in the standard library belong to the installed Go: they are listed, and only make it fail if STDLIB=fail.
# The database is the newest that the module proxy has, which is reachable wherever modules are; https://vuln.go.dev may
# not be.
# usage: vuln.sh GOVULNCHECK
set -euo pipefail

db=$(mktemp -d)
trap 'rm -rf "$db"' EXIT
module=$(go mod download -json golang.org/x/vulndb@latest)
version=$(jq -r .Version <<<"$module")
(cd "$db" && go run "golang.org/x/vulndb/cmd/indexdb@$version" -vulns "$(jq -r .Dir <<<"$module")/data/osv" -out "$db/v1")
echo "database $version, $(find "$db/v1/ID" -name 'GO-*.json' | wc -l) entries"

# A finding whose trace begins at a function is code that is called; "position" would be a mere import.
"$1" -db "file://$db/v1" -format json ./cmd/... |
	jq -r 'select(.finding.trace[0].function) | .finding | [.trace[0].module, .osv, .trace[0].version, .fixed_version] | @tsv' |
	sort -u >"$db/found"
cat "$db/found"
if [ "${STDLIB:-}" != fail ]; then
	sed -i '/^stdlib\t/d' "$db/found"
fi
[ ! -s "$db/found" ]

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes TLS connections from gnutls-cli to gnutls-serv, one for each priority string in GNUTLS_PRIORITIES (separated by
# spaces; by default one for TLS 1.3, then one for TLS 1.2). Both programs run in a separate network namespace that only
# has a loopback interface, because gnutls-serv listens on all addresses. GNUTLS_CACHE is the cache folder of build.sh.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
port=5556

die() {
  echo "traffic: $*" >&2
  exit 1
}

# Makes a certification authority and a server certificate for localhost, unless they exist.
make_certificates() {
  local certs=$GNUTLS_CACHE/certs new=$GNUTLS_CACHE/certs.$$
  [[ ! -e $certs ]] || return 0
  mkdir "$new"
  printf 'cn = "example CA"\nca\ncert_signing_key\nexpiration_days = 3650\n' >"$new/ca.cfg"
  printf 'cn = "localhost"\ndns_name = "localhost"\nsigning_key\ntls_www_server\nexpiration_days = 3650\n' \
    >"$new/server.cfg"
  (
    cd "$new"
    "$CERTTOOL" --generate-privkey --key-type ecdsa --curve secp256r1 --outfile ca-key.pem
    "$CERTTOOL" --generate-self-signed --load-privkey ca-key.pem --template ca.cfg --outfile ca.pem
    "$CERTTOOL" --generate-privkey --key-type ecdsa --curve secp256r1 --outfile server-key.pem
    "$CERTTOOL" --generate-certificate --load-privkey server-key.pem --load-ca-certificate ca.pem \
      --load-ca-privkey ca-key.pem --template server.cfg --outfile server.pem
  ) >"$new/log" 2>&1 || {
    cat "$new/log" >&2
    rm -rf "$new"
    die "certtool failed"
  }
  # If another run of this script was faster, its certificates are used.
  mv -T "$new" "$certs" 2>/dev/null || rm -rf "$new"
}

listening() { grep -qi ":$(printf %04X "$port") .* 0A " /proc/self/net/tcp /proc/self/net/tcp6 2>/dev/null; }

connections() {
  local certs=$GNUTLS_CACHE/certs log server priority
  ip link set lo up
  log=$(mktemp)
  timeout 120 "$GNUTLS_SERV" --quiet --http --port "$port" \
    --priority NORMAL:+GROUP-X25519-MLKEM768:+GROUP-SECP256R1-MLKEM768:+GROUP-SECP384R1-MLKEM1024 \
    --x509certfile "$certs/server.pem" --x509keyfile "$certs/server-key.pem" >"$log" 2>&1 </dev/null &
  server=$!
  # shellcheck disable=SC2064 # expand now
  trap "kill $server 2>/dev/null || true; wait $server 2>/dev/null || true; rm -f '$log'" EXIT
  for _ in {1..100}; do
    ! listening || break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  listening || {
    cat "$log" >&2
    die "gnutls-serv did not start"
  }
  for priority in ${GNUTLS_PRIORITIES:-NORMAL NORMAL:-VERS-TLS1.3}; do
    timeout 20 "$GNUTLS_CLI" --priority "$priority" --x509cafile "$certs/ca.pem" --port "$port" localhost \
      </dev/null >"$log.client" 2>&1 || {
      cat "$log.client" >&2
      rm -f "$log.client"
      die "gnutls-cli failed with $priority"
    }
    sed -n 's/^- Description: /traffic: /p' "$log.client" >&2
    rm -f "$log.client"
  done
}

if [[ ${1-} == connections ]]; then
  connections
  exit
fi
(($# == 0)) || die "takes no arguments"
for command in unshare ip timeout; do
  command -v "$command" >/dev/null || die "needs $command (packages util-linux, iproute2, coreutils)"
done
environment=$("$here/build.sh" ${GNUTLS_CACHE:+"$GNUTLS_CACHE"})
eval "$environment"
make_certificates
# Root can create a network namespace directly. Other users also need a user namespace, which the system may not allow.
namespace=(unshare --net)
((EUID == 0)) || namespace+=(--map-root-user)
exec "${namespace[@]}" -- "$BASH" "$here/traffic.sh" connections

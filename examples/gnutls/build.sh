#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds GnuTLS with --enable-crypto-auditing, its command line tools and handshakes.c into a cache folder.
#
#   build.sh [CACHE_DIR]
#
# CACHE_DIR defaults to ${XDG_CACHE_HOME:-$HOME/.cache}/crau-otel/gnutls. Prints CACHE_DIR/env.sh, shell assignments
# that say where everything is. Sources come from Debian sid through apt's own mirror (DEBIAN_MIRROR overrides it);
# the host's compiler builds them, so the tools run as ordinary programs of this machine. A finished build is kept
# until a part of the recipe changes.
# shellcheck disable=SC2317 # most functions are called through logged
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
suite=sid
minimum=3.8.11 # first version of GnuTLS with the probes
configure_gnutls=(
  --enable-crypto-auditing --with-leancrypto
  --with-included-libtasn1 --with-included-unistring
  --disable-doc --disable-tests --disable-cxx --disable-libdane --disable-nls --disable-static
  --without-p11-kit --without-tpm --without-tpm2 --without-idn --without-zlib --without-brotli --without-zstd
)

say() { echo "gnutls: $*" >&2; }
die() {
  say "$*"
  exit 1
}

# Packages that the host needs. Each is followed by a command or header whose existence shows that it is installed.
requirements='
gcc command gcc
libc6-dev header stdio.h
make command make
m4 command m4
xz-utils command xz
bzip2 command bzip2
binutils command readelf
pkg-config command pkg-config
libgmp-dev header gmp.h
systemtap-sdt-dev header sys/sdt.h
'

missing() {
  local package kind name
  while read -r package kind name; do
    case $kind in
      command) command -v "$name" >/dev/null || echo "$package" ;;
      header) gcc -E -include "$name" -x c /dev/null >/dev/null 2>&1 || echo "$package" ;;
    esac
  done <<<"$requirements"
}

require() {
  local packages
  command -v apt-get >/dev/null || die "needs apt-get and a Debian mirror for the sources"
  mapfile -t packages < <(missing)
  ((${#packages[@]})) || return 0
  ((EUID == 0)) || die "needs packages: apt-get install ${packages[*]}"
  say "installing ${packages[*]}"
  local get=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
  # If the installation fails, the package lists may be outdated or missing.
  {
    "${get[@]}" install -y --no-install-recommends "${packages[@]}" ||
      { "${get[@]}" update && "${get[@]}" install -y --no-install-recommends "${packages[@]}"; }
  } >>"$log" 2>&1 || die "cannot install ${packages[*]}; the log: $log"
  mapfile -t packages < <(missing)
  ((${#packages[@]} == 0)) || die "still missing after installation: ${packages[*]}"
}

# Configures apt to work in $work/apt, so that the host's package lists do not change.
apt_setup() {
  local apt=$work/apt key=/usr/share/keyrings/debian-archive-keyring.gpg
  mkdir -p "$apt"/{state/lists/partial,cache/archives/partial}
  : >"$apt/status"
  printf 'deb-src %s%s %s main\n' "$([[ ! -r $key ]] || echo "[signed-by=$key] ")" "$("$here/../../tools/debian-mirror.sh")" "$suite" \
    >"$apt/sources.list"
  # Accepts expired release files, because a mirror may be an old snapshot.
  apt_options=(-qq
    -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::State="$apt/state" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache"
    -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o Acquire::Retries=3
    -o APT::Sandbox::User="$(id -un)")
  apt-get "${apt_options[@]}" update
}

# fetch PACKAGE MINIMUM: unpacks the newest upstream source of PACKAGE, at least version MINIMUM, into $work/PACKAGE. A
# mirror's index may list versions that the mirror does not have; these are skipped.
fetch() {
  local package=$1 minimum=$2 version tarball
  for version in $(apt-cache "${apt_options[@]}" showsrc --only-source "$package" |
    sed -n 's/^Version: //p' | sort -Vru); do
    dpkg --compare-versions "$version" ge "$minimum" || continue
    mkdir -p "$work/download/$version" "$work/$package"
    (cd "$work/download/$version" &&
      apt-get "${apt_options[@]}" source --download-only --tar-only --only-source "$package=$version") || continue
    tarball=$(find "$work/download/$version" -name "${package}_*.orig.tar.*" ! -name '*.asc')
    tar -xf "$tarball" --strip-components=1 --no-same-owner -C "$work/$package"
    echo "$package $version" >>"$work/versions"
    return
  done
  die "no source of $package $minimum or later in $suite"
}

fetch_all() {
  apt_setup
  fetch gnutls28 "$minimum"
  fetch nettle 3.10
  fetch libgpg-error 1.56
  fetch libgcrypt20 1.12
}

build_nettle() {
  cd "$work/nettle"
  ./configure --prefix="$cache" --libdir="$cache/lib" --disable-static --disable-documentation --disable-openssl
  make -j"$jobs" SUBDIRS=
  make install SUBDIRS=
}

# For ML-KEM and ML-DSA, GnuTLS calls the library leancrypto, which Debian does not package. leancrypto/ implements
# leancrypto's interface with libgcrypt. libgcrypt is linked statically and its symbols are hidden, so that they cannot
# clash with another libgcrypt in a process.
build_leancrypto() {
  cd "$work/libgpg-error"
  ./configure --prefix="$work/static" --libdir="$work/static/lib" --disable-shared --enable-static --with-pic \
    --disable-doc --disable-tests --disable-nls --disable-languages --enable-install-gpg-error-config
  make -j"$jobs"
  make install
  cd "$work/libgcrypt20"
  ./configure --prefix="$work/static" --libdir="$work/static/lib" --disable-shared --enable-static --with-pic \
    --disable-doc --with-libgpg-error-prefix="$work/static" --enable-kdfs= \
    --enable-pubkey-ciphers='ecc kyber dilithium' --enable-ciphers=aes --enable-digests='sha1 sha256 sha512 sha3 blake2'
  make -j"$jobs" SUBDIRS='compat mpi cipher random src'
  make install SUBDIRS=src
  mkdir -p "$work/static/leancrypto"
  cp "$here/leancrypto/leancrypto.h" "$work/static/leancrypto/"
  gcc -O2 -g -Wall -Wextra -fPIC -shared -Wl,-soname,libleancrypto.so.1 -Wl,--exclude-libs,ALL -Wl,-z,defs \
    -I"$work/static/leancrypto" -I"$work/static/include" -o "$cache/lib/libleancrypto.so.1" \
    "$here/leancrypto/leancrypto.c" -L"$work/static/lib" -lgcrypt -lgpg-error -pthread
  ln -sf libleancrypto.so.1 "$cache/lib/libleancrypto.so"
  cat >"$cache/lib/pkgconfig/leancrypto.pc" <<EOF
Name: leancrypto
Description: the part of leancrypto that GnuTLS calls, over libgcrypt
Version: 1.2.0
Cflags: -I$work/static/leancrypto
Libs: -L$cache/lib -lleancrypto
EOF
}

build_gnutls() {
  mkdir -p "$work/gnutls28/build" && cd "$work/gnutls28/build"
  PKG_CONFIG_PATH=$cache/lib/pkgconfig ../configure --prefix="$cache" --libdir="$cache/lib" \
    "${configure_gnutls[@]}" LDFLAGS="-Wl,-rpath,$cache/lib"
  # The release archive contains all generated files, so the programs that generate them are disabled.
  local make=(make ACLOCAL=: AUTOMAKE=: AUTOCONF=: AUTOHEADER=: MAKEINFO=:)
  "${make[@]}" -j"$jobs"
  "${make[@]}" install
}

build_handshakes() {
  gcc -O2 -g -Wall -Wextra -pthread -I"$cache/include" -o "$cache/bin/handshakes.new" "$here/handshakes.c" \
    -L"$cache/lib" -Wl,-rpath,"$cache/lib" -lgnutls
  mv "$cache/bin/handshakes.new" "$cache/bin/handshakes"
}

check_library() {
  local probes
  probes=$(readelf -n "$cache/lib/libgnutls.so.30" 2>/dev/null | grep -c 'Provider: crypto_auditing' || true)
  ((probes > 0)) || die "the library has no crypto_auditing probe"
  "$cache/bin/gnutls-cli" --list | grep GROUP-X25519-MLKEM768 >/dev/null || die "the library has no X25519MLKEM768"
  say "$(tr '\n' ' ' <"$work/versions")with $probes probe sites"
}

write_env() {
  local name
  printf 'export GNUTLS_CACHE=%q\n' "$cache"
  printf 'export LIBGNUTLS=%q\n' "$cache/lib/libgnutls.so.30"
  for name in gnutls-cli gnutls-serv certtool handshakes; do
    printf 'export %s=%q\n' "$(tr a-z- A-Z_ <<<"$name")" "$cache/bin/$name"
  done
}

# Prints a hash of everything that a build depends on. Comments and the layout of this script are not part of it.
recipe_of_library() {
  {
    declare -f fetch build_nettle build_leancrypto build_gnutls check_library
    printf '%s\n' "$suite" "$minimum" "${configure_gnutls[@]}" "$cache"
    cat "$here"/leancrypto/*
  } | sha256sum
}

recipe_of_tools() {
  {
    recipe_of_library
    declare -f build_handshakes write_env
    cat "$here/handshakes.c"
  } | sha256sum
}

# current STAMP RECIPE: succeeds if file STAMP says that a build with this recipe was completed.
current() { [[ -e $1 && $(<"$1") == "$2" ]]; }

# stamp FILE RECIPE: marks a build as completed by writing its recipe to FILE, atomically.
stamp() { echo "$2" >"$1.new" && mv "$1.new" "$1"; }

# logged TEXT COMMAND...: runs the command with its output in the log. If the command fails, the end of the log is shown
# and the script ends. logged must not be part of a condition, because errexit has no effect in conditions.
logged() {
  local status start=$SECONDS
  say "$1"
  shift
  set +e
  (
    set -e
    "$@"
  ) >>"$log" 2>&1 </dev/null
  status=$?
  set -e
  if ((status)); then
    tail -n 30 "$log" | cut -c -300 >&2
    die "failed (status $status, after $((SECONDS - start)) s); the whole log: $log"
  fi
}

main() {
  local library tools
  if (($# > 1)) || [[ ${1-} == -* ]]; then
    die "usage: build.sh [CACHE_DIR]"
  fi
  cache=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/crau-otel/gnutls}
  mkdir -p "$cache"
  cache=$(cd "$cache" && pwd -P)
  # configure and libtool do not support paths with spaces.
  [[ $cache != *[[:space:]]* ]] || die "the cache folder's path has a space: $cache"
  # A rebuild removes the folders bin and lib. To protect other data, the cache folder must be empty or made by this
  # script.
  [[ -e $cache/.crau-otel-gnutls || -z $(ls -A "$cache") ]] || die "not empty and not made by this script: $cache"
  exec 9>"$cache/.crau-otel-gnutls"
  flock -n 9 || {
    say "waiting for another build in $cache"
    flock 9
  }

  jobs=$(nproc)
  log=$cache/build.log
  work=$cache/build
  library=$(recipe_of_library)
  tools=$(recipe_of_tools)

  if ! current "$cache/library.stamp" "$library" || ! "$cache/bin/gnutls-cli" --version >/dev/null 2>&1; then
    rm -rf "${cache:?}"/{library.stamp,tools.stamp,env.sh,build.log,build,bin,lib,include,share}
    mkdir -p "$work" "$cache"/{bin,lib/pkgconfig}
    require
    say "building in $cache, log in $log"
    logged "looking for the sources" fetch_all
    logged "building nettle" build_nettle
    logged "building leancrypto's interface over libgcrypt" build_leancrypto
    logged "building GnuTLS" build_gnutls
    check_library
    mv "$work/versions" "$cache/versions"
    rm -rf "$work"
    stamp "$cache/library.stamp" "$library"
  fi
  if ! current "$cache/tools.stamp" "$tools"; then
    rm -f "$cache/tools.stamp" "$cache/env.sh"
    logged "building handshakes" build_handshakes
    write_env >"$cache/env.sh.new"
    mv "$cache/env.sh.new" "$cache/env.sh"
    stamp "$cache/tools.stamp" "$tools"
  fi
  cat "$cache/env.sh"
  # Without this, bash would continue to read the script, which may have been edited during the build.
  exit 0
}

main "$@"

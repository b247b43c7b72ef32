#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs a command as root in a virtual machine with a separate kernel. The machine's file system contains nothing but the
# given files. The script needs QEMU, cpio and a C compiler with a static libc for the machine's architecture, but no
# network and no KVM. The command's output goes to standard output. The script's exit status is the command's; it is 124
# after the time limit and 125 if the machine failed.
set -euo pipefail

usage() {
	cat <<-END
		Usage: vm.sh --kernel VMLINUZ [option]... -- /COMMAND [argument]...
		  --arch ARCH         amd64 or arm64 (amd64)
		  --file SOURCE:PATH  a file or folder to put at an absolute path
		  --env NAME=VALUE    for the command
		  --dir PATH          the command's working directory (/)
		  --memory MIB        (512)
		  --cpus N            (1)
		  --timeout SECONDS   (120)
		  --append TEXT       to the kernel's command line
		  --verbose           also the kernel's messages, on standard error
	END
	exit "$1"
}

kernel='' arch=amd64 dir=/ memory=512 cpus=1 limit=120 append='' verbose=false
files=() env=(PATH=/bin:/usr/bin:/sbin HOME=/ TMPDIR=/tmp)
while [ $# -gt 0 ]; do
	case $1 in
	--kernel) kernel=$2 ;;
	--arch) arch=$2 ;;
	--file) files+=("$2") ;;
	--env) env+=("$2") ;;
	--dir) dir=$2 ;;
	--memory) memory=$2 ;;
	--cpus) cpus=$2 ;;
	--timeout) limit=$2 ;;
	--append) append=$2 ;;
	--verbose) verbose=true; shift; continue ;;
	--help) usage 0 ;;
	--) shift; break ;;
	*) echo "vm.sh: unknown option $1" >&2; usage 125 >&2 ;;
	esac
	shift 2
done
if [ -z "$kernel" ] || [ $# -eq 0 ]; then
	usage 125 >&2
fi

# Detaching a uprobe waits for an RCU grace period, which takes each processor one tick unless it is expedited.
quick=rcupdate.rcu_expedited=1

# The first serial port is the console, the second carries the command's output. arm64's board has only one serial port,
# so the second is a PCI card.
case $arch in
amd64)
	cc=${CC:-cc}
	machine=(qemu-system-x86_64 -cpu max)
	ports=(-serial stdio)
	console='console=ttyS0 reboot=t mitigations=off'
	;;
arm64)
	cc=aarch64-linux-gnu-gcc
	machine=(qemu-system-aarch64 -M virt -cpu "max,pauth-impdef=on")
	ports=(-device "pci-serial,chardev=out" -chardev "stdio,id=out,signal=off")
	console='console=ttyAMA0'
	;;
*)
	echo "vm.sh: unknown architecture $arch" >&2
	usage 125 >&2
	;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 125' ERR

root=$work/root
mkdir -p "$root"/{vm,dev,proc,sys,tmp,bin}
"$cc" -std=gnu11 -Wall -Wextra -Werror -O2 -static -o "$root/init" "$(dirname "$0")/init/init.c"
for file in "${files[@]}"; do
	mkdir -p "$root/$(dirname "${file##*:}")"
	cp -RL "${file%:*}" "$root/${file##*:}"
done
printf '%s\0' "$@" >"$root/vm/argv"
printf '%s\0' "${env[@]}" >"$root/vm/env"
printf '%s\0' "$dir" >"$root/vm/dir"
(cd "$root" && find . | cpio --create --format=newc --owner=0:0 --quiet) >"$work/initrd"
rm -r "$root"

code=0
timeout --kill-after=5 "$limit" "${machine[@]}" \
	-accel tcg -smp "$cpus" -m "$memory" -nodefaults -nographic -no-reboot \
	-kernel "$kernel" -initrd "$work/initrd" -append "$console panic=-1 $quick $append" \
	-serial "file:$work/console" "${ports[@]}" </dev/null || code=$?

status=$(sed -n 's/^vm: exit status \([0-9]*\).*/\1/p' "$work/console" | tail -n 1)
if $verbose || [ -z "$status" ]; then
	cat "$work/console" >&2
fi
if [ -n "$status" ]; then
	exit "$status"
elif [ "$code" -eq 124 ] || [ "$code" -eq 137 ]; then
	echo "vm.sh: stopped after $limit seconds" >&2
	exit 124
fi
echo "vm.sh: the machine ended without the command's exit status" >&2
exit 125

// SPDX-License-Identifier: Apache-2.0

package privileges

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"
)

// Drop makes every thread of this process run as u, without supplementary groups, and with those capabilities in keep
// that the process has. Programs that it executes inherit no capabilities, and cannot gain any through setuid bits or
// file capabilities. This cannot be undone. The process no longer dumps core, and only root can trace it or read its
// files under /proc.
//
// If u is the zero value or the current user, the user and the groups do not change, and no capability is needed. To
// become another user, CAP_SETUID and CAP_SETGID are needed. Without CAP_SETPCAP the bounding set stays, but has no
// effect.
//
// After an error, privileges may be dropped in part, and the process should end. In a binary that uses cgo, the error
// is [errors.ErrUnsupported] and nothing has changed: Go can only change all threads if the binary does not use cgo.
func Drop(u User, keep Set) error {
	// This comes first, because it changes nothing in a binary that uses cgo, and otherwise needs no capability.
	err := prctl(unix.PR_SET_NO_NEW_PRIVS, 1)
	if errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("drop privileges: this binary was built with cgo, not CGO_ENABLED=0: %w", err)
	}
	if err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	effective, permitted, err := read()
	if err != nil {
		return err
	}
	if effective.Has(capability.CAP_SETPCAP) {
		if err := emptyBounding(); err != nil {
			return fmt.Errorf("empty capability bounding set: %w", err)
		}
	}
	if err := become(u); err != nil {
		return fmt.Errorf("become user %q: %w", u.Spec, err)
	}
	if err := limit(permitted.covering(keep)); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	// The kernel does this itself when a process changes users, but not if the process was started with ambient
	// capabilities and keeps its user.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	return nil
}

// overflowID is the user and group id of nobody. The kernel shows it as the owner of files whose owner has no id in the
// user namespace.
const overflowID = 65534

// yielding is the set of capabilities that [YieldFiles] needs: to become nobody, and to read the files of others as
// nobody.
var yielding = Of(capability.CAP_SETUID, capability.CAP_SETGID, capability.CAP_DAC_READ_SEARCH)

// YieldFiles makes every thread of this process access files as the user nobody, except that it can read all files. It
// is for a process that stays root, which would otherwise own the files of the host. It also removes all capabilities
// except those that crau-otel uses and those in more. Programs that the process executes access files as root. If a
// necessary capability is missing, YieldFiles only removes capabilities, and returns an error.
func YieldFiles(more Set) error {
	keep := more
	for _, n := range Needs() {
		keep |= Of(n.Cap)
	}
	effective, permitted, err := read()
	if err != nil {
		return err
	}
	if missing := yielding &^ effective; missing != 0 {
		err = fmt.Errorf("access files as nobody: missing capabilities: %s", missing.names())
	} else {
		err = becomeNobody()
	}
	if limitErr := limit(permitted.covering(keep)); limitErr != nil {
		err = errors.Join(err, fmt.Errorf("drop capabilities: %w", limitErr))
	}
	return err
}

// becomeNobody makes every thread access files as nobody. The kernel thereby removes capabilities over files from the
// effective set, but not from the permitted set (capabilities(7)).
func becomeNobody() error {
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("leave groups: %w", err)
	}
	// These two calls return the previous id, even if they fail.
	for _, call := range []uintptr{syscall.SYS_SETFSGID, syscall.SYS_SETFSUID} {
		if _, _, errno := syscall.AllThreadsSyscall(call, overflowID, 0, 0); errno != 0 {
			return fmt.Errorf("access files as nobody: %w", errno)
		}
	}
	return nil
}

// prctl calls prctl(2) on every thread.
func prctl(option, argument uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall(syscall.SYS_PRCTL, option, argument, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// emptyBounding removes every capability from the bounding set.
func emptyBounding() error {
	last, err := capability.LastCap()
	if err != nil {
		return err
	}
	for c := capability.Cap(0); c <= last; c++ {
		if err := prctl(unix.PR_CAPBSET_DROP, uintptr(c)); err != nil {
			return err
		}
	}
	return nil
}

// become switches to the user and group of u, and leaves all supplementary groups. The permitted capabilities are kept,
// but the kernel clears the effective ones when the process stops being root.
func become(u User) error {
	if u.Spec == "" || u.current() {
		return nil
	}
	if err := prctl(unix.PR_SET_KEEPCAPS, 1); err != nil {
		return err
	}
	// These calls act on every thread. The groups must change first, because the new user may not change them.
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("leave groups: %w", err)
	}
	if err := syscall.Setresgid(u.GID, u.GID, u.GID); err != nil {
		return fmt.Errorf("change group: %w", err)
	}
	if err := syscall.Setresuid(u.UID, u.UID, u.UID); err != nil {
		return fmt.Errorf("change user: %w", err)
	}
	return prctl(unix.PR_SET_KEEPCAPS, 0)
}

// current reports whether the process already runs as u in every respect.
func (u User) current() bool {
	r, e, s := unix.Getresuid()
	rg, eg, sg := unix.Getresgid()
	return r == u.UID && e == u.UID && s == u.UID && rg == u.GID && eg == u.GID && sg == u.GID
}

// limit sets the effective and permitted capabilities of every thread to keep. It empties the inheritable set, whereby
// the kernel also empties the ambient set.
func limit(keep Set) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	low, high := uint32(keep), uint32(keep>>32)
	data := [2]unix.CapUserData{{Effective: low, Permitted: low}, {Effective: high, Permitted: high}}
	_, _, errno := syscall.AllThreadsSyscall(syscall.SYS_CAPSET,
		uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0) //nolint:gosec // arguments of capset(2)
	if errno != 0 {
		return errno
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"regexp"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// oops matches a line of the kernel's log that reports an oops. The number in it is the time since boot in seconds.
var oops = regexp.MustCompile(`\[ *([0-9.]+)\] Oops: .*`)

// ExpectNoOops fails a test at its end if the kernel oopsed during the test. Without this check, an oops may go
// unnoticed, because it only kills the process that was running.
func ExpectNoOops(t testing.TB) {
	t.Helper()
	var began unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &began); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		log := make([]byte, 4<<20)
		n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, log)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range oops.FindAllStringSubmatch(string(log[:n]), -1) {
			if at, err := strconv.ParseFloat(m[1], 64); err != nil || at > float64(began.Nano())/1e9 {
				t.Errorf("kernel: %s", m[0])
			}
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"regexp"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// oops matches a line in the kernel's log. Its time is in seconds since boot.
var oops = regexp.MustCompile(`\[ *([0-9.]+)\] Oops: .*`)

// ExpectNoOops fails a test at its end if the kernel has oopsed during the test: an oops only kills the current
// program.
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

// SPDX-License-Identifier: Apache-2.0

package harness

import "testing"

func TestConnectionsAddUp(t *testing.T) {
	const head = "time=now level=INFO msg=totals hits=3\ntime=now level=INFO msg=connections seen=10 reported=4 other=5 "
	for tail, exact := range map[string]bool{
		"old=1 packets.lost=7\n": true,
		"old=0 packets.lost=1\n": false,
		"old=2 packets.lost=0\n": false,
	} {
		n, err := ParseConnections(head + tail)
		if (err == nil) != exact || n["seen"] != 10 || n["reported"] != 4 {
			t.Errorf("%s: %v, %v", tail, n, err)
		}
	}
	if _, err := ParseConnections("msg=totals hits=3\n"); err == nil {
		t.Error("a log without an account is accepted")
	}
}

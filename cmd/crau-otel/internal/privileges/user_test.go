// SPDX-License-Identifier: Apache-2.0

package privileges

import (
	"os/user"
	"strconv"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	root, err := user.Lookup("root")
	if err != nil {
		t.Fatal(err)
	}
	daemon, err := user.Lookup("daemon")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(daemon.Uid)
	gid, _ := strconv.Atoi(daemon.Gid)
	if uid == 0 || gid == 0 || root.Gid != "0" {
		t.Fatalf("unexpected accounts %+v and %+v", root, daemon)
	}
	for spec, want := range map[string]User{
		"":                      {},
		"daemon":                {"daemon", uid, gid},
		"daemon:root":           {"daemon:root", uid, 0},
		"daemon:7":              {"daemon:7", uid, 7},
		daemon.Uid:              {daemon.Uid, uid, gid},
		"0":                     {"0", 0, 0},
		"3000000:daemon":        {"3000000:daemon", 3000000, gid},
		"4294967294:4294967294": {"4294967294:4294967294", 4294967294, 4294967294},
	} {
		if got, err := Parse(spec); err != nil || got != want {
			t.Errorf("%q: got %+v, %v; want %+v", spec, got, err, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		":":               "must be USER or USER:GROUP",
		":daemon":         "must be USER or USER:GROUP",
		"daemon:":         "must be USER or USER:GROUP",
		"no-such-user":    "unknown user no-such-user",
		"daemon:no-such":  "unknown group no-such",
		"daemon:daemon:1": "unknown group daemon:1",
		"3000000":         "name one after a colon",
		"4294967295:1":    "4294967295 is not an id from 0 to 4294967294",
		"1:4294967295":    "4294967295 is not an id",
		"99999999999:1":   "99999999999 is not an id",
		"-1":              "unknown user -1",
		" daemon":         "unknown user  daemon",
	} {
		got, err := Parse(spec)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "user ") || got != (User{}) {
			t.Errorf("%q: got %+v, %v; want %q", spec, got, err, want)
		}
	}
}

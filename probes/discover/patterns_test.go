// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"strings"
	"testing"
)

func TestPattern(t *testing.T) {
	t.Parallel()
	for text, names := range map[string]struct{ yes, no []string }{
		"libssl.so*":     {[]string{"/usr/lib/libssl.so.3", "/libssl.so", "libssl.so.1/libssl.so"}, []string{"/libssl.so.3/other", "/xlibssl.so"}},
		"/usr/lib/*.so":  {[]string{"/usr/lib/a.so", "/usr/lib/.so"}, []string{"/usr/lib/b/a.so", "/x/usr/lib/a.so", "/usr/lib/a.so.1"}},
		"/usr/**/a.so":   {[]string{"/usr/lib/a.so", "/usr/x/y/z/a.so"}, []string{"/usr/a.so.1", "/opt/a.so"}},
		"**":             {[]string{"/", "", "/a/b\nc"}, nil},
		"/a?c/[x]+(y).$": {[]string{"/abc/[x]+(y).$"}, []string{"/a/c/[x]+(y).$", "/abc/x"}},
		"/é*":            {[]string{"/é", "/é\xff"}, []string{"/e", "/\xff"}},
	} {
		p, err := newPattern(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for _, name := range names.yes {
			if !match([]pattern{p}, name) {
				t.Errorf("%s does not match %s", text, name)
			}
		}
		for _, name := range names.no {
			if match([]pattern{p}, name) {
				t.Errorf("%s matches %s", text, name)
			}
		}
	}
	if _, err := New(Config{Rules: Rules{Allow: []string{""}, DenyCgroups: []string{"/\xff"}}}); err == nil ||
		!strings.Contains(err.Error(), "allow: empty pattern") || !strings.Contains(err.Error(), `deny cgroups: pattern "/\xff": not UTF-8`) {
		t.Errorf("got %v", err)
	}
}

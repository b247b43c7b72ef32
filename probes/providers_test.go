// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"errors"
	"testing"
)

// The known probes of both providers are read. Other probes of provider openssl are ignored; unknown probes of
// crypto_auditing are reported.
func TestProbesOfEachProviderAreRead(t *testing.T) {
	t.Parallel()
	note := func(provider, name string, pc uint64) noteSpec {
		return noteSpec{provider: provider, name: name, args: "8@%rdi 8@%rsi", pc: pc, base: baseAddr}
	}
	for name, c := range map[string]struct {
		notes           []noteSpec
		sites, problems int
		err             error
	}{
		"crypto_auditing": {[]noteSpec{note("crypto_auditing", "new_context", sitePC)}, 1, 0, nil},
		"openssl":         {[]noteSpec{note("openssl", "new_context", sitePC)}, 1, 0, nil},
		"both at different places": {
			[]noteSpec{note("crypto_auditing", "new_context", sitePC), note("openssl", "new_context", sitePC+1)}, 2, 0, nil,
		},
		"both at one place": {
			[]noteSpec{note("crypto_auditing", "new_context", sitePC), note("openssl", "new_context", sitePC)}, 1, 0, nil,
		},
		"others of openssl": {
			[]noteSpec{note("openssl", "new_context", sitePC), note("openssl", "malloc", sitePC+1)}, 1, 0, nil,
		},
		"others of crypto_auditing": {
			[]noteSpec{note("crypto_auditing", "new_context", sitePC), note("crypto_auditing", "malloc", sitePC+1)}, 1, 1, nil,
		},
		"only others of openssl": {[]noteSpec{note("openssl", "malloc", sitePC)}, 0, 0, ErrNoProbes},
		"another provider":       {[]noteSpec{note("openssl3", "new_context", sitePC)}, 0, 0, ErrNoProbes},
		"no provider":            {[]noteSpec{note("", "new_context", sitePC)}, 0, 0, ErrNoProbes},
	} {
		f, err := elfSpec{notes: c.notes, base: baseAddr}.build(t).read()
		if !errors.Is(err, c.err) || f == nil && c.err == nil {
			t.Errorf("%s: error is %v, want %v", name, err, c.err)
			continue
		}
		if f != nil && (len(f.Sites) != c.sites || len(f.Problems) != c.problems) {
			t.Errorf("%s: %d sites and problems %v, want %d and %d", name, len(f.Sites), f.Problems, c.sites, c.problems)
		}
	}
}

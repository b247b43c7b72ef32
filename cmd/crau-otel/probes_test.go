// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"

	"github.com/crau-otel/crau-otel/probes"
)

// A file may have any bytes in its name and its notes. What is printed of them cannot act on a terminal or pretend to be
// another line.
func TestProbesOfHostileFilesAreEscaped(t *testing.T) {
	const evil = "x\x1b[31m\u202e\u009b\x7f\nroot: 9 sites"
	file := &probes.File{
		Path: "/tmp/" + evil, Soname: "lib" + evil,
		Sites:    []probes.Site{{Spec: "8@%rax\t8@" + evil}},
		Problems: []error{errors.New("bad\x1b[0m note")},
	}
	var text, asJSON strings.Builder
	if err := errors.Join(writeSitesText(&text, []*probes.File{file}), writeSitesJSON(&asJSON, []*probes.File{file})); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{text.String(), asJSON.String()} {
		for _, r := range out {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("%q is printed in\n%q", r, out)
				break
			}
		}
	}
	if n := strings.Count(text.String(), "\n"); n != 4 {
		t.Errorf("%d lines, want 4:\n%s", n, text.String())
	}
	var files []jsonFile
	if err := json.Unmarshal([]byte(asJSON.String()), &files); err != nil || files[0].Path != file.Path ||
		files[0].Sites[0].Arguments != file.Sites[0].Spec {
		t.Errorf("error %v, from JSON: %+v", err, files)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/probes"
)

// The names of a file and its notes can contain any bytes. The output escapes them, so that they neither control a
// terminal nor look like another line.
func TestProbesOfHostileFilesAreEscaped(t *testing.T) {
	const evil = "x\x1b[31m\u202e\u009b\x7f\nroot: 9 sites"
	file := &probes.File{
		Path: "/tmp/" + evil, Soname: "lib" + evil,
		Sites:    []probes.Site{{Spec: "8@%rax\t8@" + evil}},
		Problems: []error{errors.New("bad\x1b[0m\n note")},
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

// If files cannot be read, each error takes one line of the output, even if the file's name contains a line feed.
func TestErrorsOfHostileFilesAreEscaped(t *testing.T) {
	name := filepath.Join(t.TempDir(), "gone\nroot: 9 sites\x1b[31m\u202e\xff")
	bad := filepath.Join(t.TempDir(), "bad\nroot: 9 sites\x1b[31m\u202e\xff")
	if err := os.WriteFile(bad, []byte("no ELF file"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := newProbesCommand()
	cmd.SetArgs([]string{name, bad})
	cmd.SetOut(io.Discard)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.Execute()
	if err == nil {
		t.Fatal("no error")
	}
	var out strings.Builder
	reportFailure(&out, config.FormatText, err)
	want := "crau-otel: open " + filepath.Dir(name) + `/gone\nroot: 9 sites\x1b[31m\u202e\xff: no such file or directory` + "\n" +
		"read " + filepath.Dir(bad) + `/bad\nroot: 9 sites\x1b[31m\u202e\xff: not an ELF file` + "\n"
	if out.String() != want {
		t.Errorf("reported\n%q, want\n%q", out.String(), want)
	}
}

// JSON cannot contain bytes that are not UTF-8. They are escaped, so that two names that differ only in such bytes
// still differ in the output.
func TestBytesOfFileNamesAreKept(t *testing.T) {
	var out strings.Builder
	if err := writeSitesJSON(&out, []*probes.File{{Path: "/caf\xe9"}, {Path: "/caf\xe8"}, {Path: "/café"}}); err != nil {
		t.Fatal(err)
	}
	var files []jsonFile
	if err := json.Unmarshal([]byte(out.String()), &files); err != nil || len(files) != 3 ||
		files[0].Path != `/caf\xe9` || files[1].Path != `/caf\xe8` || files[2].Path != "/café" {
		t.Errorf("error %v, files %+v", err, files)
	}
}

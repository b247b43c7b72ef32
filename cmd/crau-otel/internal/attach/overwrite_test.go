// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/probes/discover"
	"github.com/crau-otel/crau-otel/test/harness"
)

// root is the path of the repository.
const root = "../../../.."

// The sites of a fresh file are compared again. The change time of such a file is not sufficient, because it stays the
// same if the file is written within the clock tick in which it was read.
func TestFreshFileIsComparedAgain(t *testing.T) {
	t.Parallel()
	content, err := os.Open(harness.Sample(t, root))
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(content.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	read, err := probes.Read(content, st.Size, content.Name())
	if err != nil {
		t.Fatal(err)
	}
	f := &discover.File{Key: discover.Key{Changed: st.Ctim.Nano()}, Fresh: true, Probes: read}
	if !isUnchanged(f, content) {
		t.Error("the same file counts as changed")
	}
	read.Sites[0].Offset++
	if isUnchanged(f, content) {
		t.Error("a site is elsewhere, but the file counts as unchanged")
	}
	f.Fresh = false
	f.Key.Changed--
	if isUnchanged(f, content) {
		t.Error("the change time differs, but the file counts as unchanged")
	}
}

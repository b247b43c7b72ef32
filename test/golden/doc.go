// SPDX-License-Identifier: Apache-2.0

// Package golden feeds events to the mapper and compares the resulting spans with files. It needs no privileges. Some
// of the events are raw samples of the ring buffer, recorded from real programs by `go test -tags record -run Record
// ./test/golden` (which needs root, and the GnuTLS of examples/gnutls/build.sh); the other events are written by hand
// in the tests. `go test ./test/golden -update` overwrites the expected spans with the current ones: review the
// difference.
package golden

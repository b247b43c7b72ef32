// SPDX-License-Identifier: Apache-2.0

// Package golden turns events into spans and compares these with files, without privileges. Some events are raw samples
// of the ring buffer, recorded once from real programs by `go test -tags record -run Record ./test/golden` (which needs
// root, and the GnuTLS of examples/gnutls/build.sh); others are written in the tests. `go test ./test/golden -update`
// writes the results as the new expectation: read the difference.
package golden

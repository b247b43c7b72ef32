// SPDX-License-Identifier: Apache-2.0

// Package golden replays events into spans and compares these with files, without privileges. Some events are raw
// samples of the ring buffer, recorded once from real programs by `go test -tags record -run Record ./test/golden`
// (which needs root, and GnuTLS as examples/gnutls/build.sh makes it); others are written down here.
// `go test ./test/golden -update` writes what came out as the new expectation: read the difference.
package golden

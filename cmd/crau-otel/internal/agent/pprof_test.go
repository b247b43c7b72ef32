// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

func TestPprof(t *testing.T) {
	var log bytes.Buffer
	stop, err := servePprof("127.0.0.1:0", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	_, url, _ := strings.Cut(log.String(), "address=")
	url = strings.TrimSpace(url)
	resp, err := http.Get(url)
	if err != nil {
		t.Fatalf("%v; the log has\n%s", err, &log)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "goroutine") {
		t.Errorf("%v, status %s:\n%s", err, resp.Status, body)
	}
	address := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/debug/pprof/")
	if _, err := servePprof(address, slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), "pprof: ") ||
		!strings.Contains(err.Error(), address) {
		t.Errorf("on an address in use: %v", err)
	}
	stop()
	if resp, err := http.Get(url); err == nil {
		_ = resp.Body.Close()
		t.Error("profiles are still served")
	}
}

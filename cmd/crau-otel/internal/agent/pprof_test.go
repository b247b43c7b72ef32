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

// Requests are rejected by their Host header. A browser sends the name there that a page was loaded from, whatever
// address that name resolves to now.
func TestPprofChecksTheHost(t *testing.T) {
	var log bytes.Buffer
	stop, err := servePprof("127.0.0.1:0", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	_, url, _ := strings.Cut(log.String(), "address=")
	for host, want := range map[string]int{
		"127.0.0.1:6060": 200, "127.0.0.1": 200, "127.3.2.1": 200, "localhost": 200, "LocalHost:80": 200, "[::1]:6060": 200, "[::1]": 200,
		"evil.example": 403, "evil.example:6060": 403, "127.0.0.1.evil.example": 403, "10.0.0.1:6060": 403, "0.0.0.0": 403,
		"localhost.": 403, "[::ffff:10.0.0.1]:1": 403, "x:localhost": 403,
	} {
		request, err := http.NewRequest(http.MethodGet, strings.TrimSpace(url), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%q: status %d, want %d", host, resp.StatusCode, want)
		}
	}
	request, err := http.NewRequest(http.MethodGet, strings.TrimSpace(url)+"profile?seconds=1", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "evil.example"
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a profile: status %d", resp.StatusCode)
	}
}

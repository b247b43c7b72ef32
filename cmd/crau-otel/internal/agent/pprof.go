// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"
)

// local only passes on requests whose Host header is a loopback address or localhost. Otherwise the owner of a website
// could read the profiles through a local browser, by making the website's name resolve to a loopback address. The Host
// header of such a request contains the website's name.
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Host
		if host, _, err := net.SplitHostPort(name); err == nil {
			name = host
		}
		ip := net.ParseIP(strings.Trim(name, "[]"))
		if !strings.EqualFold(name, "localhost") && !ip.IsLoopback() {
			http.Error(w, "profiles are served to local clients only", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// servePprof serves profiles of this process on a loopback address until stop is called.
func servePprof(address string, log *slog.Logger) (stop func(), err error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("pprof: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{Handler: local(mux), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := server.Serve(l); err != nil && err != http.ErrServerClosed {
			log.Warn("profiles are no longer served", "error", err)
		}
	}()
	log.Info("serving profiles", "address", "http://"+l.Addr().String()+"/debug/pprof/")
	return func() { _ = server.Close() }, nil
}

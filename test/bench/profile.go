// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

var profilesField = regexp.MustCompile(`msg="serving profiles" address=(\S+)`)

// profiles fetches a profile from the pprof server of an agent that runs with --pprof.
func (a *agent) profiles(what string, to io.Writer) error {
	m := profilesField.FindStringSubmatch(a.Log())
	if m == nil {
		return errors.New("crau-otel serves no profiles")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m[1]+what, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("fetch profile: %s", resp.Status)
	}
	_, err = io.Copy(to, resp.Body)
	return err
}

// profile measures a CPU profile of the agent for some seconds and writes it to a file in the folder.
func (a *agent) profile(folder, name string, seconds int) (err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // anyone may read it
		return err
	}
	f, err := os.Create(filepath.Join(folder, name+".pprof"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return a.profiles("profile?seconds="+strconv.Itoa(seconds), f)
}

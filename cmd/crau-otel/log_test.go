// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
)

func TestLogger(t *testing.T) {
	for _, c := range []struct {
		cfg  config.Log
		want string
	}{
		{config.Log{Level: "info", Format: "text"}, "level=INFO msg=b key=\"c d\"\n"},
		{config.Log{Level: "info", Format: "json"}, `"level":"INFO","msg":"b","key":"c d"}` + "\n"},
		{config.Log{Level: "debug", Format: "text"}, "level=DEBUG msg=a"},
		{config.Log{Level: "warn", Format: "text"}, ""},
	} {
		var out bytes.Buffer
		log, _ := newLogger(&out, c.cfg)
		log.Debug("a")
		log.Info("b", "key", "c d")
		if got := out.String(); !strings.Contains(got, c.want) || c.want == "" && got != "" ||
			c.cfg.Level == "info" && strings.Count(got, "\n") != 1 {
			t.Errorf("%+v: logged %q, want %q", c.cfg, got, c.want)
		}
	}
}

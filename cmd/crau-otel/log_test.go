// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"google.golang.org/grpc/grpclog"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
)

func TestLoggerHasTheConfiguredFormatAndLevel(t *testing.T) {
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
		logger, _ := newLogger(&out, c.cfg)
		logger.Debug("a")
		logger.Info("b", "key", "c d")
		if got := out.String(); !strings.Contains(got, c.want) || c.want == "" && got != "" ||
			c.cfg.Level == "info" && strings.Count(got, "\n") != 1 {
			t.Errorf("%+v: logged %q, want %q", c.cfg, got, c.want)
		}
	}
}

// failing is a writer that fails like a pipe without a reader.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestLogOutput(t *testing.T) {
	var stderr, stdout bytes.Buffer
	for _, out := range []logOutput{{&stderr, &stdout}, {failing{}, &stdout}, {failing{}, failing{}}, {failing{}, io.Discard}} {
		logger, _ := newLogger(out, config.Log{Level: "info"})
		logger.Info("totals")
	}
	if n, m := strings.Count(stderr.String(), "totals"), strings.Count(stdout.String(), "totals"); n != 1 || m != 1 {
		t.Errorf("%d lines on standard error and %d on standard output, want one each", n, m)
	}
	if out := newLogOutput(config.ExporterConsole); out.stdout != io.Discard {
		t.Error("log lines would get between the spans on standard output")
	}
}

func TestFailureIsReportedInTheFormatOfTheLog(t *testing.T) {
	failure := errors.Join(errors.New("first"), errors.New("second\x1b[31m\u202e"))
	var out bytes.Buffer
	reportFailure(&out, config.FormatText, failure)
	if got, want := out.String(), "crau-otel: first\nsecond\\u001b[31m\\u202e\n"; got != want {
		t.Errorf("reported %q, want %q", got, want)
	}
	out.Reset()
	reportFailure(&out, config.FormatJSON, failure)
	var line struct{ Level, Msg, Error string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if line.Level != "ERROR" || line.Msg != "crau-otel failed" || line.Error != failure.Error() {
		t.Errorf("reported %+v", line)
	}
}

// A wrong flag does not prevent flags after it from setting the format.
func TestFailureHasTheFormatThatWasAskedFor(t *testing.T) {
	for args, want := range map[string]string{
		"run --nonsense":                             config.FormatText,
		"run --nonsense --log-format json":           config.FormatJSON,
		"run --log-format=json --nonsense":           config.FormatJSON,
		"run --nonsense=x --log-format=json":         config.FormatJSON,
		"run x --log-format json":                    config.FormatJSON,
		"run --ring-size 1 --log-format json --user": config.FormatJSON,
		"run --log-format":                           config.FormatText,
		"exec --nonsense --log-format json -- true":  config.FormatJSON,
		"exec --log-format json":                     config.FormatJSON,
		"exec -- program --log-format json":          config.FormatText,
		"exec program --log-format json":             config.FormatText,
		"probes --log-format json":                   config.FormatJSON,
		"--nonsense":                                 config.FormatText,
	} {
		root := newCommand()
		words := strings.Fields(args)
		cmd, _, _ := root.Find(words)
		if got := failureFormat(root, cmd, words, nil); got != want {
			t.Errorf("%s: %s, want %s", args, got, want)
		}
	}
	root := newCommand()
	if got := failureFormat(root, root, []string{"run", "--nonsense"}, []string{"CRAU_LOG_FORMAT=json"}); got != config.FormatJSON {
		t.Errorf("with a variable: %s", got)
	}
}

// Log lines contain no unprintable character. JSON does not escape C1 control characters, which terminals interpret, or
// characters that override the direction of text, which deceive readers.
func TestLogIsHarmless(t *testing.T) {
	const evil = "a\x1b[31m\u009b2J\u202e\x7f\u2028\xff\U000e0041b\nmsg=forged"
	for _, format := range []string{config.FormatText, config.FormatJSON} {
		var out bytes.Buffer
		logger, _ := newLogger(&out, config.Log{Level: "info", Format: format})
		logger.Info("attached", "file", evil, "error", errors.New(evil), slog.Group("owner", "name", evil))
		reportFailure(&out, config.FormatJSON, errors.New(evil))
		for _, r := range out.String() {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("%s: %U in %q", format, r, out.String())
			}
		}
		if n := strings.Count(out.String(), "\n"); n != 2 {
			t.Errorf("%s: %d lines: %q", format, n, out.String())
		}
		if format == config.FormatText {
			continue
		}
		var line struct{ File string }
		if err := json.NewDecoder(&out).Decode(&line); err != nil || line.File != strings.ToValidUTF8(evil, "\uFFFD") {
			t.Errorf("error %v, from JSON: %q", err, line.File)
		}
	}
}

// The libraries log in the format of the agent's log too. Their loggers are global, so the test is not parallel.
func TestLibrariesLogInTheFormatOfTheLog(t *testing.T) {
	was, flags := slog.Default(), log.Flags()
	defer func() {
		slog.SetDefault(was)
		log.SetOutput(os.Stderr)
		log.SetFlags(flags)
		otel.SetLogger(logr.Discard())
		grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	}()
	for level, want := range map[string]int{"warn": 4, "info": 5, "debug": 10} {
		var out bytes.Buffer
		logger, _ := newLogger(&out, config.Log{Level: level, Format: config.FormatJSON})
		logLibraries(logger)
		otel.SetTextMapPropagator(otel.GetTextMapPropagator()) // logs an error: the propagator would delegate to itself
		otel.SetMeterProvider(otel.GetMeterProvider())         // logs an error for the same reason
		sdk := logr.FromSlogHandler(sdkHandler{logger.Handler()})
		sdk.V(1).Info("warning")
		sdk.V(4).Info("information")
		sdk.V(8).Info("detail")
		grpclog.Error("broken\nin two")
		grpclog.Warningf("%d", 1)
		grpclog.Info("information")
		grpclog.Infoln("information")
		log.Print("from a package that knows nothing else")
		n := 0
		for line := range strings.Lines(out.String()) {
			var record struct{ Level, Msg string }
			if err := json.Unmarshal([]byte(line), &record); err != nil || record.Level == "" || record.Msg == "" {
				t.Errorf("%v: %s", err, line)
			}
			n++
		}
		if n != want {
			t.Errorf("%d lines at level %s, want %d:\n%s", n, level, want, out.String())
		}
	}
}

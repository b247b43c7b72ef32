// SPDX-License-Identifier: Apache-2.0

//go:build record

package golden

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// quiet discards the decoded events; only the raw samples are recorded.
type quiet struct{}

func (quiet) Handle(*event.Event) {}
func (quiet) Tick(uint64)         {}

func gnutls(t *testing.T, file string) string {
	t.Helper()
	dir := os.Getenv("GNUTLS_CACHE")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(cache, "crau-otel/gnutls")
	}
	return filepath.Join(dir, file)
}

func TestRecord(t *testing.T) {
	const (
		only   = "NORMAL:-GROUP-ALL:"
		hybrid = "+GROUP-X25519-MLKEM768"
		p256   = "+GROUP-SECP256R1"
	)
	for name, args := range map[string][]string{
		"gnutls-tls13":       {"--version", "1.3"},
		"gnutls-tls12":       {"--version", "1.2"},
		"gnutls-interleaved": {"--version", "1.3", "--count", "3", "--interleave", "3"},
		"gnutls-hybrid":      {"--client-priority", only + hybrid + ":" + p256, "--server-priority", only + hybrid},
		"gnutls-downgraded":  {"--client-priority", only + hybrid + ":" + p256, "--server-priority", only + p256},
		"gnutls-resumed":     {"--version", "1.3", "--resume"},
		"gnutls-failed":      {"--fail=share"},
	} {
		t.Run(name, func(t *testing.T) {
			record(t, name, gnutls(t, "lib/libgnutls.so.30"), exec.Command(gnutls(t, "bin/handshakes"), append(args, "--wait")...))
		})
	}
	sample := harness.Sample(t, "../..")
	for name, args := range map[string][]string{
		"sample-explicit": {"--style", "explicit", "--count", "1", "--rate", "0", "--wait"},
		"sample-self":     {"--style", "self", "--count", "1", "--rate", "0", "--wait"},
		"sample-link":     {"--style", "link", "--count", "1", "--rate", "0", "--wait"},
	} {
		t.Run(name, func(t *testing.T) {
			record(t, name, sample, exec.Command(sample, args...))
		})
	}
}

// record starts a program that prints a line when it is ready and then waits for a line of input. It attaches the
// probes of the file, sends the line, and records what the program reports through the probes.
func record(t *testing.T, name, file string, program *exec.Cmd) {
	stdin, err := program.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	program.Stderr = os.Stderr
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = program.Process.Kill() }()
	out := bufio.NewReader(stdout)
	if _, err := out.ReadString('\n'); err != nil {
		t.Fatal(err)
	}

	recording := binary.LittleEndian.AppendUint32([]byte(magic), headSize)
	tr, err := tracer.New(tracer.Config{Tap: func(sample []byte) {
		var ev event.Event
		if err := tracer.Decode(sample, &ev); err != nil {
			t.Error(err)
		} else if int(ev.PID) == program.Process.Pid { // other processes may use the file too
			recording = append(binary.LittleEndian.AppendUint32(recording, uint32(len(sample))), sample...)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	attachment, _ := harness.File(t, tr, file)
	if _, err := stdin.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Fatal(err)
	}
	if err := program.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := attachment.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := tr.Run(ctx, quiet{}); err != nil {
		t.Fatal(err)
	}
	st, err := tr.Stats()
	if err != nil || st.Sent != st.Hits {
		t.Fatalf("hits were lost: %+v, %v", st, err)
	}
	if err := os.WriteFile(recordingPath(name), recording, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(recording))
}

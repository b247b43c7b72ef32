// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"

	"github.com/crau-otel/crau-otel/test/harness"
)

// The agent follows the rules of OTLP for each kind of answer. Each hit is exported or counted as lost; hits count as
// exported if the receiver accepted their spans.
func TestEveryAnswerOfAReceiverIsAccountedFor(t *testing.T) {
	t.Parallel()
	const pairs = 40
	busy := harness.Fail(codes.ResourceExhausted, "rate limit exceeded")
	for name, c := range map[string]struct {
		answer harness.Answer
		lost   int    // number of spans
		log    string // text that the agent logs, at most once per interval
		calls  uint64 // maximum number of calls; 0: any number
		after  time.Duration
	}{
		"accepted with a warning": {harness.Reject(0, "attribute x is deprecated"), 0, "attribute x is deprecated", 0, 0},
		"one span rejected":       {harness.Script(harness.Reject(1, "too old")), 1, "too old", 0, 0},
		"one span of each call rejected": {
			harness.Reject(1, "too old"), -1, "too old", 0, 0,
		},
		"everything rejected":    {harness.Reject(1<<30, "closed"), pairs * spansPerPair, "closed", 0, 0},
		"RetryInfo, exhausted":   {harness.Script(harness.FailFor(codes.ResourceExhausted, "later", 8*time.Second)), 0, "later", 0, 8 * time.Second},
		"RetryInfo, unavailable": {harness.Script(harness.FailFor(codes.Unavailable, "later", 8*time.Second)), 0, "later", 0, 8 * time.Second},
		"rate limit":             {harness.Script(busy, busy, busy), 0, "rate limit exceeded", pairs*spansPerPair/50 + 10, 0},
		"size limit":             {sizeLimit(20), 0, "", 0, 0},
		"refused":                {harness.Script(harness.Fail(codes.InvalidArgument, "no such tenant")), -1, "no such tenant", 0, 0},
		"hangs once":             {harness.Script(harness.Hang), 0, "retrying", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sample := ownSample(t)
			r := harness.Receive(t, harness.ReceiverConfig{Answer: c.answer})
			a := startExporting(t, sample, r.Endpoint(), "CRAU_SPANS_IDLE_TIMEOUT=100ms", "OTEL_EXPORTER_OTLP_TIMEOUT=1000",
				"CRAU_SHUTDOWN_TIMEOUT=30s")
			began := time.Now()
			hits := harness.RunSample(t, sample, "--count", fmt.Sprint(pairs), "--rate", "0")
			if c.after > 0 {
				if waited := r.WaitSpans(1, 30*time.Second).Sub(began); waited < c.after || waited > c.after+20*time.Second {
					t.Errorf("the first spans came after %s, want %s", waited, c.after)
				}
			}
			n := a.Stop()
			n.CheckExact(t, hits)
			arrived := int(r.Accepted.Load())
			if n["spans"] != arrived {
				t.Errorf("%d spans count as exported, %d were accepted", n["spans"], arrived)
			}
			lost := pairs*spansPerPair - arrived
			if c.lost >= 0 && lost != c.lost || c.lost < 0 && (lost == 0 || arrived == 0) {
				t.Errorf("%d spans are lost, want %d: %v", lost, c.lost, n)
			}
			if lost == 0 && n["events.exported"] != hits || lost > 0 && n["lost.export_failed"] != hits-n["events.exported"] {
				t.Errorf("%d hits, %d exported, %d failed", hits, n["events.exported"], n["lost.export_failed"])
			}
			if times := strings.Count(a.Log(), c.log); c.log != "" && (times == 0 || times > 3) { // once in 10 s
				t.Errorf("%q is logged %d times", c.log, times)
			}
			if calls := r.Calls.Load(); c.calls > 0 && calls > c.calls {
				t.Errorf("%d calls, want at most %d", calls, c.calls)
			}
		})
	}
}

// sizeLimit returns an answer that refuses calls with more spans, as gRPC servers refuse messages that are too large.
func sizeLimit(spans int) harness.Answer {
	refuse := harness.Fail(codes.ResourceExhausted, "grpc: received message larger than max (50 vs. 20)")
	return func(ctx context.Context, call harness.Call) harness.Reply {
		if len(call.Spans) > spans {
			return refuse(ctx, call)
		}
		return harness.Reply{}
	}
}

// If a receiver closes connections that are idle or old, nothing is lost.
func TestReceiverThatClosesConnectionsGetsEverything(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	r := harness.Receive(t, harness.ReceiverConfig{Options: []grpc.ServerOption{grpc.KeepaliveParams(keepalive.ServerParameters{
		MaxConnectionIdle: 50 * time.Millisecond, MaxConnectionAge: 200 * time.Millisecond, MaxConnectionAgeGrace: time.Second,
	})}})
	a := startExporting(t, sample, r.Endpoint(), "CRAU_SPANS_IDLE_TIMEOUT=50ms")
	hits := harness.RunSample(t, sample, "--count", "40", "--rate", "20")
	checkAllArrives(t, a, r, hits, 40)
}

// If an HTTP proxy is configured, the agent connects to the receiver through the proxy, for spans and for metrics.
func TestReceiverBehindAProxyGetsEverything(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	r := harness.Receive(t, harness.ReceiverConfig{})
	proxy := harness.StartProxy(t, r.Address())
	a := startExporting(t, sample, "HTTP://192.0.2.77:4317", "HTTPS_PROXY="+proxy.URL, "NO_PROXY=", "OTEL_METRICS_EXPORTER=otlp",
		"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://metrics.invalid:4318") // only the proxy can resolve the names
	hits := harness.RunSample(t, sample, "--count", "10", "--rate", "0")
	r.WaitSpans(10*spansPerPair, 30*time.Second)
	if host := proxy.Asked(); host != "192.0.2.77:4317" {
		t.Errorf("the proxy was asked for %q, for spans", host)
	}
	checkAllArrives(t, a, r, hits, 10)
	if host := proxy.Asked(); host != "metrics.invalid:4318" || len(r.Metrics.Values()) == 0 {
		t.Errorf("the proxy was asked for %q, for metrics, of which %d arrived", host, len(r.Metrics.Values()))
	}
}

// environment returns variables in the form of os.Environ.
func environment(variables map[string]string) (env []string) {
	for name, value := range variables {
		env = append(env, name+"="+value)
	}
	return env
}

// The standard OTEL_EXPORTER_OTLP_* variables are enough for TLS and mutual TLS, and for certificates that are replaced
// while the agent runs. This holds for spans and metrics.
func TestTLSByTheStandardVariables(t *testing.T) {
	t.Parallel()
	a, other := harness.NewAuthority(t, "ours"), harness.NewAuthority(t, "theirs")
	mutual, wrong := harness.NewCertificateFiles(t, a), harness.NewCertificateFiles(t, a)
	wrong.Write(t, wrong.Authorities, other.PEM)
	foreign := harness.NewCertificateFiles(t, other)
	foreign.Write(t, foreign.Authorities, a.PEM)
	for name, c := range map[string]struct {
		mutual  bool
		env     []string
		trouble string // text that is logged; "": everything arrives
	}{
		"TLS":              {false, []string{"OTEL_EXPORTER_OTLP_CERTIFICATE=" + mutual.Authorities}, ""},
		"mutual TLS":       {true, environment(mutual.Environment()), ""},
		"wrong authority":  {true, environment(wrong.Environment()), "certificate signed by unknown authority"},
		"system authority": {false, nil, "certificate signed by unknown authority"},
		"no certificate": {
			true, []string{"OTEL_EXPORTER_OTLP_CERTIFICATE=" + mutual.Authorities}, "tls: certificate required",
		},
		"certificate of another authority": {true, environment(foreign.Environment()), "tls: unknown certificate authority"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sample := ownSample(t)
			r := harness.Receive(t, harness.ReceiverConfig{Options: a.Options(t, c.mutual, nil)})
			_, port, err := net.SplitHostPort(r.Address())
			if err != nil {
				t.Fatal(err)
			}
			agent := startAgent(t, append([]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT=https://localhost:" + port, "CRAU_SPANS_IDLE_TIMEOUT=100ms", "CRAU_SHUTDOWN_TIMEOUT=2s",
			}, c.env...), "--library", sample)
			hits := harness.RunSample(t, sample, "--count", "2", "--rate", "0")
			if c.trouble == "" {
				checkAllArrives(t, agent, r, hits, 2)
				if len(r.Metrics.Values()) == 0 {
					t.Error("no metrics arrived")
				}
				return
			}
			agent.WaitLog(c.trouble)
			n := agent.Stop()
			n.CheckExact(t, hits)
			if n["lost.export_failed"] != hits {
				t.Errorf("%d hits, not all failed: %v", hits, n)
			}
			line(t, agent.Log(), "level=WARN", "cannot export spans yet", c.trouble)
		})
	}
}

// After SIGHUP the agent uses replaced certificates: it opens new connections although the old ones are still open.
// Nothing is lost.
func TestReplacedCertificatesAreUsedAfterSIGHUP(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	a := harness.NewAuthority(t, "ours")
	f := harness.NewCertificateFiles(t, a)
	serials := make(chan string, 100)
	r := harness.Receive(t, harness.ReceiverConfig{Options: a.Options(t, true, func(c *x509.Certificate) {
		serials <- c.SerialNumber.String()
	})})
	_, port, err := net.SplitHostPort(r.Address())
	if err != nil {
		t.Fatal(err)
	}
	agent := startAgent(t, append(environment(f.Environment()), "OTEL_EXPORTER_OTLP_ENDPOINT=https://localhost:"+port,
		"CRAU_SPANS_IDLE_TIMEOUT=50ms", "OTEL_METRIC_EXPORT_INTERVAL=100"), "--library", sample)
	cmd := harness.StartProgram(t, exec.Command(sample, "--count", "100", "--rate", "50"))
	r.WaitSpans(10*spansPerPair, 30*time.Second)
	before := len(serials)
	f.Replace(t, a)
	agent.Signal(syscall.SIGHUP)
	agent.WaitLog("configuration reloaded")
	line(t, agent.Log(), "configuration reloaded", `changed=""`, f.Certificate, f.Key, f.Authorities)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	r.WaitSpans(100*spansPerPair, 30*time.Second)
	n := agent.Stop()
	n.CheckExact(t, n["hits"])
	if n["spans"] != 100*spansPerPair || n["events.exported"] != n["hits"] {
		t.Errorf("want 100 pairs exported: %v", n)
	}
	harness.CheckPairs(t, "sample", r.Spans(), 100)
	close(serials)
	var shown []string
	for serial := range serials {
		shown = append(shown, serial)
	}
	if before != 2 || len(shown) != 4 || slices.Contains(shown[2:], shown[0]) || shown[2] != shown[3] {
		t.Errorf("connections of spans and metrics showed %q, the first %d before SIGHUP; want two and two others", shown, before)
	}
}

// If certificate files cannot be used on SIGHUP, the agent logs the reason once. The previous certificates stay in use,
// for open connections and for new ones.
func TestUnusableCertificatesLoseNothing(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	a := harness.NewAuthority(t, "ours")
	f := harness.NewCertificateFiles(t, a)
	r := harness.Receive(t, harness.ReceiverConfig{Options: a.Options(t, true, nil)})
	_, port, err := net.SplitHostPort(r.Address())
	if err != nil {
		t.Fatal(err)
	}
	agent := startAgent(t, append(environment(f.Environment()), "OTEL_EXPORTER_OTLP_ENDPOINT=https://localhost:"+port,
		"CRAU_SPANS_IDLE_TIMEOUT=50ms"), "--library", sample)
	hits, pairs := 0, 0
	check := func() {
		t.Helper()
		hits += harness.RunSample(t, sample, "--count", "2", "--rate", "0")
		pairs += 2
		r.WaitSpans(pairs*spansPerPair, 30*time.Second)
	}
	check()
	f.Write(t, f.Key, []byte("half of a"))
	agent.Signal(syscall.SIGHUP)
	agent.WaitLog("configuration reloaded")
	check()
	r.Close()
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	check()
	n := agent.Stop()
	n.CheckExact(t, hits)
	if n["events.exported"] != hits {
		t.Errorf("%d hits, %d exported: %v", hits, n["events.exported"], n)
	}
	harness.CheckPairs(t, "sample", harness.Unique(r.Spans()), pairs)
	line(t, agent.Log(), "configuration reloaded", `certificates=""`)
	warning := line(t, agent.Log(), "level=WARN", "certificates not reloaded")
	if times := strings.Count(warning, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: cannot be used with"); times != 1 {
		t.Errorf("the reason stands there %d times, want once: %s", times, warning)
	}
}

// A program whose name, unit or arguments are invalid text does not make others lose spans: each tree is encoded
// separately, and the text of resources is made valid.
func TestOneBadResourceCostsOthersNothing(t *testing.T) {
	t.Parallel()
	bad, good := harness.Copy(t, samplePath, t.TempDir()+"/caf\xe9\x1b"), ownSample(t)
	r := harness.Receive(t, harness.ReceiverConfig{})
	a := startAgent(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.Endpoint(), "CRAU_PRIVACY_PROCESS=full"},
		"--library", bad, "--library", good)
	unit := fmt.Sprintf("caf\xe9-%d.service", os.Getpid())
	cgroup, err := os.Open(harness.Cgroup(t, "/system.slice/"+unit))
	if err != nil {
		t.Fatal(err)
	}
	defer cgroup.Close()
	hits := harness.RunSample(t, bad, "--count", "1", "--rate", "0")
	inUnit := &exec.Cmd{
		Path: bad, Args: []string{"argument \xff", "--count", "1", "--rate", "0", "--stay"},
		SysProcAttr: &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(cgroup.Fd())},
	}
	stay, err := inUnit.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	harness.StartProgram(t, inUnit)
	hits += hits + harness.RunSample(t, good, "--count", "3", "--rate", "0")
	r.WaitSpans(5*spansPerPair, 30*time.Second)
	_ = stay.Close()
	if err := inUnit.Wait(); err != nil {
		t.Error(err)
	}
	n := a.Stop()
	n.CheckExact(t, hits)
	if n["events.exported"] != hits || len(r.Metrics.Values()) == 0 {
		t.Errorf("%d hits, %d exported, %d metrics", hits, n["events.exported"], len(r.Metrics.Values()))
	}
	spans := make(map[string]int)
	for _, span := range r.Spans() {
		args, _ := span.Resource["process.command_args"].([]any)
		key := fmt.Sprint(span.Resource["service.name"], " ", strings.HasPrefix(fmt.Sprint(args), "[argument \uFFFD "), " ",
			span.Resource["systemd.unit"] == strings.ToValidUTF8(unit, `\xe9`))
		spans[key]++
	}
	want := map[string]int{
		`caf\xe9\x1b false false`: spansPerPair, `caf\xe9\x1b true true`: spansPerPair, "sample false false": 3 * spansPerPair,
	}
	if !maps.Equal(spans, want) {
		t.Errorf("spans by program, hostile argument and hostile unit are %v, want %v", spans, want)
	}
}

// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
	"google.golang.org/grpc/metadata"
)

// settings is the configuration of the connection for one signal. It is read from the environment variables that the
// OpenTelemetry specification defines in "OpenTelemetry Protocol Exporter". A variable for the signal overrides the
// variable for all signals.
type settings struct {
	target   string // host and port
	tls      bool
	files    certificateFiles
	headers  metadata.MD
	compress bool
	timeout  time.Duration // limit for each call; 0 if there is none
}

const (
	prefix = "OTEL_EXPORTER_OTLP_"

	// The signals, as they appear in names of variables.
	signalTraces  = "TRACES"
	signalMetrics = "METRICS"

	defaultTarget  = "localhost:4317"
	defaultTimeout = 10 * time.Second
)

// variable is an environment variable. Its value is empty if it is not set.
type variable struct {
	name, value string
}

// errorf returns an error that names the variable.
func (v variable) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: %s", v.name, fmt.Sprintf(format, args...))
}

// lookup returns the variable that applies to a signal: the signal's own variable if it is set, else the variable for
// all signals.
func lookup(signal, name string) variable {
	for _, full := range []string{prefix + signal + "_" + name, prefix + name} {
		if value := strings.TrimSpace(os.Getenv(full)); value != "" {
			return variable{full, value}
		}
	}
	return variable{name: prefix + name}
}

// readSettings returns the settings of a signal. The error joins all problems.
func readSettings(signal string) (s settings, err error) {
	var errs []error
	check := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	if v := lookup(signal, "PROTOCOL"); v.value != "" && !strings.EqualFold(v.value, "grpc") {
		check(v.errorf("only grpc is supported, got %q", v.value))
	}
	if err := s.readEndpoint(signal); err != nil {
		check(err)
	} else {
		check(s.checkProxy())
	}
	switch v := lookup(signal, "COMPRESSION"); strings.ToLower(v.value) {
	case "", "none":
	case "gzip":
		s.compress = true
	default:
		check(v.errorf("must be gzip or none, got %q", v.value))
	}
	s.timeout = defaultTimeout
	if v := lookup(signal, "TIMEOUT"); v.value != "" {
		ms, err := strconv.ParseUint(v.value, 10, 31)
		if err != nil {
			check(v.errorf("must be a number of milliseconds, got %q", v.value))
		}
		s.timeout = time.Duration(ms) * time.Millisecond
	}
	check(s.readHeaders(signal))
	if s.tls {
		check(s.readFiles(signal))
	}
	return s, errors.Join(errs...)
}

// readEndpoint sets the target and whether to use TLS, by the scheme of the endpoint. Without an endpoint, the target
// is the specification's default http://localhost:4317, and TLS is used only if the variable INSECURE is false.
func (s *settings) readEndpoint(signal string) error {
	insecure := lookup(signal, "INSECURE")
	switch strings.ToLower(insecure.value) {
	case "", "true", "false":
	default:
		return insecure.errorf("must be true or false, got %q", insecure.value)
	}
	v := lookup(signal, "ENDPOINT")
	if v.value == "" {
		s.target, s.tls = defaultTarget, strings.EqualFold(insecure.value, "false")
		return nil
	}
	scheme, _, _ := strings.Cut(v.value, "://")
	port := "80"
	switch strings.ToLower(scheme) {
	case "http":
	case "https":
		s.tls, port = true, "443"
	default:
		return v.errorf("must start with http:// or https://, got %q", redacted(v.value))
	}
	u, err := url.Parse(v.value)
	var reason *url.Error
	switch {
	case err != nil && strings.Contains(v.value, "@"): // the text of err may contain a part of a password
		return v.errorf("is no URL, got %q", redacted(v.value))
	case errors.As(err, &reason):
		return v.errorf("%v, got %q", reason.Err, redacted(v.value))
	case u.Hostname() == "":
		return v.errorf("has no host, got %q", redacted(v.value))
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return v.errorf("must have only a host and a port after the scheme: OTLP over gRPC has no path, got %q", redacted(v.value))
	}
	if u.Port() != "" {
		port = u.Port()
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return v.errorf("port must be 1 to 65535, got %q", redacted(v.value))
		}
		s.target = u.Host
		return nil
	}
	s.target = strings.TrimSuffix(u.Host, ":") + ":" + port
	return nil
}

// checkProxy returns an error if a proxy is configured for the target, but its URL is invalid. gRPC would ignore such a
// URL, and connect without the proxy.
func (s *settings) checkProxy() error {
	target := &url.URL{Scheme: "https", Host: s.target}
	cfg := httpproxy.FromEnvironment()
	proxy, err := cfg.ProxyFunc()(target)
	if err == nil && proxy != nil && proxy.Hostname() != "" && !strings.HasSuffix(proxy.Host, ":") {
		return nil
	}
	if cfg.HTTPSProxy == "" {
		return nil
	}
	cfg.HTTPSProxy = "http://any"
	if proxy, _ := cfg.ProxyFunc()(target); proxy == nil {
		return nil // no proxy is configured for the target
	}
	name := "HTTPS_PROXY"
	if os.Getenv(name) == "" {
		name = strings.ToLower(name)
	}
	return fmt.Errorf("%s: must be a URL such as http://proxy:3128", name)
}

// redacted returns an endpoint without the parts that may be secret: the user and password, the query, and the
// fragment.
func redacted(endpoint string) string {
	start, rest := "", endpoint
	if i := strings.LastIndex(endpoint, "@"); i >= 0 {
		scheme, _, _ := strings.Cut(endpoint[:i], "://")
		start, rest = scheme+"://...", endpoint[i:]
		if !strings.Contains(endpoint[:i], "://") {
			start = "..."
		}
	}
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest = rest[:i+1] + "..."
	}
	return start + rest
}

// readHeaders reads the headers: name=value pairs separated by commas, with percent-encoded values. Error texts do not
// contain the values, which may be secret.
func (s *settings) readHeaders(signal string) error {
	v := lookup(signal, "HEADERS")
	s.headers = metadata.MD{}
	for i, header := range strings.Split(v.value, ",") {
		if header = strings.TrimSpace(header); header == "" {
			continue
		}
		name, value, ok := strings.Cut(header, "=")
		name = strings.TrimSpace(name)
		if !ok || !isHeaderName(name) {
			return v.errorf("must be name=value pairs, separated by commas; number %d is not", i+1)
		}
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if err != nil || !isHeaderValue(value) && !strings.HasSuffix(strings.ToLower(name), "-bin") {
			return v.errorf("the value of %q must be percent-encoded printable ASCII text", name)
		}
		s.headers.Set(name, strings.TrimSpace(value))
	}
	return nil
}

// isHeaderName reports whether gRPC accepts name as the name of a header: only letters, digits, "-", "_" and ".". With
// any other character in a name, each call would fail.
func isHeaderName(name string) bool {
	return name != "" && strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

// isHeaderValue reports whether gRPC accepts value as the value of a header: only printable ASCII characters.
func isHeaderValue(value string) bool {
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return false
		}
	}
	return true
}

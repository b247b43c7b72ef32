// SPDX-License-Identifier: Apache-2.0

package agent

import "testing"

func TestOTLPDefaults(t *testing.T) {
	for _, c := range []struct {
		env      map[string]string
		insecure bool
		err      string
	}{
		{nil, true, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4317"}, false, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4317"}, false, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://collector:4317"}, true, ""}, // not the traces'
		{map[string]string{"OTEL_EXPORTER_OTLP_INSECURE": "false"}, false, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, true, ""},
		{
			map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
			false,
			`OTEL_EXPORTER_OTLP_PROTOCOL: only grpc is supported, got "http/protobuf"`,
		},
		{
			map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4317"},
			false,
			`OTEL_EXPORTER_OTLP_ENDPOINT: must start with http:// or https://, got "localhost:4317"`,
		},
		{map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, true, ""},
	} {
		for _, name := range []string{"ENDPOINT", "INSECURE", "PROTOCOL", "TRACES_ENDPOINT", "TRACES_INSECURE", "TRACES_PROTOCOL"} {
			name = "OTEL_EXPORTER_OTLP_" + name
			t.Setenv(name, c.env[name])
		}
		insecure, err := otlpDefaults("TRACES")
		if got := errorText(err); got != c.err || insecure != c.insecure {
			t.Errorf("%v: insecure is %v, error %q; want %v, %q", c.env, insecure, got, c.insecure, c.err)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

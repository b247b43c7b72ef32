// SPDX-License-Identifier: Apache-2.0

package export

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Variable is an environment variable that OpenTelemetry's specification defines, and how the agent treats it.
type Variable struct {
	Name string
	// Refused says what to do instead of setting the variable. If Refused is not empty, the agent does not start when the
	// variable is set.
	Refused string
	// Values lists the accepted values, which are compared without regard to case. It is nil if the variable is not an
	// enumeration, or if other code checks its value.
	Values []string
	// Check returns what is wrong with a value. It is nil if there is nothing to check, or if other code checks the value.
	Check func(value string) error
	// Moot says why the variable has no effect: the agent does nothing that the variable applies to. It is empty if the
	// variable has an effect.
	Moot string
}

const (
	noLogs   = "the agent exports no log records"
	noEvents = "spans have no events, and one link at most"
)

// variables are those that the specification defines in "Environment Variable Specification" and "OpenTelemetry
// Protocol Exporter". A name with %s stands for four variables: %s is replaced by nothing, _TRACES, _METRICS and _LOGS.
var variables = []Variable{
	{Name: "OTEL_SDK_DISABLED", Values: []string{"true", "false"}},
	{Name: "OTEL_RESOURCE_ATTRIBUTES", Check: checkResource},
	{Name: "OTEL_SERVICE_NAME", Check: checkText},
	{Name: "OTEL_ENTITIES", Refused: "set OTEL_RESOURCE_ATTRIBUTES"},
	{Name: "OTEL_LOG_LEVEL", Refused: "set CRAU_LOG_LEVEL"},
	{Name: "OTEL_PROPAGATORS", Moot: "the agent propagates no context"},
	{Name: "OTEL_TRACES_SAMPLER"},
	{Name: "OTEL_TRACES_SAMPLER_ARG"},
	{Name: "OTEL_CONFIG_FILE", Refused: "set CRAU_CONFIG to a configuration file of crau-otel"},
	{Name: "OTEL_EXPERIMENTAL_CONFIG_FILE", Refused: "set CRAU_CONFIG to a configuration file of crau-otel"},
	{Name: "OTEL_BSP_SCHEDULE_DELAY"},
	{Name: "OTEL_BSP_EXPORT_TIMEOUT"},
	{Name: "OTEL_BSP_MAX_QUEUE_SIZE"},
	{Name: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"},
	{Name: "OTEL_BLRP_SCHEDULE_DELAY", Moot: noLogs},
	{Name: "OTEL_BLRP_EXPORT_TIMEOUT", Moot: noLogs},
	{Name: "OTEL_BLRP_MAX_QUEUE_SIZE", Moot: noLogs},
	{Name: "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", Moot: noLogs},
	{Name: "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", Check: checkLimit},
	{Name: "OTEL_ATTRIBUTE_COUNT_LIMIT", Check: checkLimit},
	{Name: "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", Check: checkLimit},
	{Name: "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", Check: checkLimit},
	{Name: "OTEL_SPAN_EVENT_COUNT_LIMIT", Moot: noEvents},
	{Name: "OTEL_SPAN_LINK_COUNT_LIMIT", Moot: noEvents},
	{Name: "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", Moot: noEvents},
	{Name: "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", Moot: noEvents},
	{Name: "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", Moot: noLogs},
	{Name: "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", Moot: noLogs},
	{Name: "OTEL_EXPORTER_ZIPKIN_ENDPOINT", Refused: "export with OTLP"},
	{Name: "OTEL_EXPORTER_ZIPKIN_TIMEOUT", Refused: "export with OTLP"},
	{Name: "OTEL_EXPORTER_ZIPKIN_PROTOCOL", Refused: "export with OTLP"},
	{Name: "OTEL_EXPORTER_PROMETHEUS_HOST", Refused: "export metrics with OTLP, which Prometheus accepts"},
	{Name: "OTEL_EXPORTER_PROMETHEUS_PORT", Refused: "export metrics with OTLP, which Prometheus accepts"},
	{Name: "OTEL_TRACES_EXPORTER"},
	{Name: "OTEL_METRICS_EXPORTER"},
	{Name: "OTEL_LOGS_EXPORTER", Moot: noLogs},
	{Name: "OTEL_METRICS_EXEMPLAR_FILTER", Values: []string{"always_on", "always_off", "trace_based"}},
	{Name: "OTEL_METRIC_EXPORT_INTERVAL", Check: checkMilliseconds},
	{Name: "OTEL_METRIC_EXPORT_TIMEOUT", Check: checkMilliseconds},
	{Name: "OTEL_EXPORTER_OTLP%s_ENDPOINT"},
	{Name: "OTEL_EXPORTER_OTLP%s_INSECURE"},
	{Name: "OTEL_EXPORTER_OTLP%s_CERTIFICATE"},
	{Name: "OTEL_EXPORTER_OTLP%s_CLIENT_KEY"},
	{Name: "OTEL_EXPORTER_OTLP%s_CLIENT_CERTIFICATE"},
	{Name: "OTEL_EXPORTER_OTLP%s_HEADERS"},
	{Name: "OTEL_EXPORTER_OTLP%s_COMPRESSION"},
	{Name: "OTEL_EXPORTER_OTLP%s_TIMEOUT"},
	{Name: "OTEL_EXPORTER_OTLP%s_PROTOCOL"},
	{Name: "OTEL_EXPORTER_OTLP_SPAN_INSECURE", Refused: "set OTEL_EXPORTER_OTLP_TRACES_INSECURE"},
	{Name: "OTEL_EXPORTER_OTLP_METRIC_INSECURE", Refused: "set OTEL_EXPORTER_OTLP_METRICS_INSECURE"},
	{
		Name:   "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
		Values: []string{"cumulative", "delta", "lowmemory"},
	},
	{
		Name:   "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
		Values: []string{"explicit_bucket_histogram", "base2_exponential_bucket_histogram"},
	},
}

// Variables returns every variable of the specification.
func Variables() (all []Variable) {
	for _, v := range variables {
		if !strings.Contains(v.Name, "%s") {
			all = append(all, v)
			continue
		}
		for _, signal := range []string{"", "_TRACES", "_METRICS", "_LOGS"} {
			of := v
			of.Name = fmt.Sprintf(v.Name, signal)
			if signal == "_LOGS" {
				of.Moot = noLogs
			}
			all = append(all, of)
		}
	}
	return all
}

// CheckVariables returns an error that names every variable that is set although it is refused, or that has an invalid
// value. lookup returns the value of a variable. An empty value counts as not set. A blank value also counts as not
// set, except for variables with a Check: the code that reads them may not trim values.
func CheckVariables(lookup func(name string) string) error {
	var errs []error
	for _, v := range Variables() {
		raw := lookup(v.Name)
		value := strings.TrimSpace(raw)
		switch {
		case raw == "", value == "" && v.Check == nil:
		case v.Refused != "":
			errs = append(errs, fmt.Errorf("%s: is not supported; %s", v.Name, v.Refused))
		case v.Values != nil && !slices.Contains(v.Values, strings.ToLower(value)):
			errs = append(errs, fmt.Errorf("%s: must be one of %s, got %q", v.Name, strings.Join(v.Values, ", "), value))
		case v.Check != nil:
			if err := v.Check(raw); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", v.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// checkLimit accepts integers; a negative integer means no limit. Other values are an error, because the SDK would
// ignore them silently.
func checkLimit(value string) error {
	if _, err := strconv.Atoi(value); err != nil {
		return fmt.Errorf("must be a whole number, got %q", value)
	}
	return nil
}

// checkMilliseconds accepts the values that the SDK accepts. Other values are an error, because the SDK would ignore
// them silently.
func checkMilliseconds(value string) error {
	const most = math.MaxInt64 / int64(time.Millisecond)
	if n, err := strconv.ParseInt(value, 10, 64); err != nil || n < 1 || n > most {
		return fmt.Errorf("must be a number of milliseconds from 1 to %d, got %q", most, value)
	}
	return nil
}

func checkText(value string) error {
	if !utf8.ValidString(value) {
		return errors.New("must be UTF-8")
	}
	return nil
}

// checkResource accepts name=value pairs with percent-encoded values, as the resource specification defines them. Text
// that is not UTF-8 is an error: OTLP messages with it cannot be encoded, so the receiver would get nothing.
func checkResource(list string) error {
	for i, pair := range strings.Split(list, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" || !utf8.ValidString(name) {
			return fmt.Errorf("must be name=value pairs, separated by commas; number %d is not", i+1)
		}
		if value, err := url.PathUnescape(strings.TrimSpace(value)); err != nil || !utf8.ValidString(value) {
			return fmt.Errorf("the value of %q must be percent-encoded UTF-8", name)
		}
	}
	return nil
}

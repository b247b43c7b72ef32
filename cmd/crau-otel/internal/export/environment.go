// SPDX-License-Identifier: Apache-2.0

package export

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// These variables are defined by the OpenTelemetry specification, "Environment Variable Specification", in the sections
// on the batch span processor and on general SDK configuration.
const (
	envDelay      = "OTEL_BSP_SCHEDULE_DELAY"
	envTimeout    = "OTEL_BSP_EXPORT_TIMEOUT"
	envMaxQueue   = "OTEL_BSP_MAX_QUEUE_SIZE"
	envMaxBatch   = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
	envSampler    = "OTEL_TRACES_SAMPLER"
	envSamplerArg = "OTEL_TRACES_SAMPLER_ARG"
)

// fromEnvironment sets the fields that are zero to the values of their variables, or else to their defaults.
func (c *Config) fromEnvironment() error {
	var errs []error
	number := func(field *int, name string, otherwise int) {
		if *field != 0 {
			return
		}
		*field = otherwise
		text := strings.TrimSpace(os.Getenv(name))
		if text == "" {
			return
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			errs = append(errs, fmt.Errorf("%s: must be a positive integer, got %q", name, text))
			return
		}
		*field = n
	}
	milliseconds := func(field *time.Duration, name string, otherwise time.Duration) {
		if *field != 0 {
			return
		}
		var n int
		number(&n, name, int(otherwise/time.Millisecond))
		if n > math.MaxInt64/int(time.Millisecond) {
			errs = append(errs, fmt.Errorf("%s: must be at most %d, got %d", name, math.MaxInt64/int(time.Millisecond), n))
			return
		}
		*field = time.Duration(n) * time.Millisecond
	}
	number(&c.MaxQueue, envMaxQueue, 1<<17)
	number(&c.MaxBatch, envMaxBatch, 2048)
	if c.MaxBytes == 0 {
		c.MaxBytes = 32 << 20
	}
	milliseconds(&c.Delay, envDelay, 200*time.Millisecond)
	milliseconds(&c.Timeout, envTimeout, 30*time.Second)
	if c.Sampler == nil {
		sampler, err := samplerFrom(os.Getenv(envSampler), os.Getenv(envSamplerArg))
		if err != nil {
			errs = append(errs, err)
		}
		c.Sampler = sampler
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return errors.Join(errs...)
}

// samplerFrom returns the sampler for name, a value of OTEL_TRACES_SAMPLER, and its argument arg. It returns nil for a
// sampler that keeps everything. The prefix parentbased_ is ignored: every tree starts a trace, and for a span without
// a parent, a parent-based sampler uses the sampler that its name contains after the prefix.
func samplerFrom(name, arg string) (sdktrace.Sampler, error) {
	switch name = strings.ToLower(strings.TrimSpace(name)); strings.TrimPrefix(name, "parentbased_") {
	case "", "always_on":
		return nil, nil
	case "always_off":
		return sdktrace.NeverSample(), nil
	case "traceidratio":
		arg = strings.TrimSpace(arg)
		if arg == "" {
			return nil, nil
		}
		ratio, err := strconv.ParseFloat(arg, 64)
		if err != nil || !(ratio >= 0 && ratio <= 1) {
			return nil, fmt.Errorf("%s: must be a number from 0 to 1, got %q", envSamplerArg, arg)
		}
		return sdktrace.TraceIDRatioBased(ratio), nil
	}
	return nil, fmt.Errorf("%s: unknown sampler %q; use always_on, always_off, traceidratio or one of these with "+
		"parentbased_ before it", envSampler, name)
}

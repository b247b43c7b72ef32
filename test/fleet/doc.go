// SPDX-License-Identifier: Apache-2.0

// Package fleet tests everything that stands behind crau-otel in a fleet: this repository's configuration files for
// collectors in a real OpenTelemetry Collector, a Kafka broker, Jaeger and Prometheus. `make test-fleet` builds these
// programs and runs the tests.
package fleet

// SPDX-License-Identifier: Apache-2.0

// Package fleet tests what receives crau-otel's data in a fleet of hosts: the collector configurations of this
// repository in a real OpenTelemetry Collector, a Kafka broker, Jaeger and Prometheus. `make test-fleet` builds these
// programs and runs the tests.
package fleet

// SPDX-License-Identifier: Apache-2.0

// Package fleet holds the tests of everything that stands behind crau-otel in a fleet: the collectors' configuration
// files of this repository in a real OpenTelemetry Collector, a Kafka broker, Jaeger and Prometheus. `make test-fleet`
// builds these programs and runs the tests.
package fleet

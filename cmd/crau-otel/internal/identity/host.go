// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Host returns the resource attributes that all observed programs share: those of the host, and those in the
// environment variable OTEL_RESOURCE_ATTRIBUTES. root is the folder of the host's files, usually "/".
func Host(ctx context.Context, root string, log *slog.Logger) *sdkresource.Resource {
	host := sdkresource.Empty()
	if id := machineID(root); id != "" {
		host = sdkresource.NewSchemaless(semconv.HostID(id))
	} else {
		log.Debug("no host.id: the host has no valid machine-id")
	}
	rest, err := sdkresource.New(ctx, sdkresource.WithTelemetrySDK(), sdkresource.WithHost(), sdkresource.WithOSType(),
		sdkresource.WithFromEnv())
	if err != nil {
		log.Warn("resource is incomplete", "error", err)
	}
	merged, err := sdkresource.Merge(host, rest)
	if err != nil {
		log.Warn("resource is incomplete", "error", err)
		merged = rest
	}
	return validText(merged)
}

// Agent returns the resource of the agent itself. host is the result of [Host] for the same root. The resource contains
// a service.instance.id that differs between hosts; without it, receivers would mix up the metrics of several agents.
func Agent(host *sdkresource.Resource, root, version string) (*sdkresource.Resource, error) {
	const name = "crau-otel"
	own := sdkresource.NewSchemaless(semconv.ServiceName(name), semconv.ServiceVersion(version),
		semconv.ServiceInstanceID(instance([]string{identify(host, root), "", name})))
	return sdkresource.Merge(own, host)
}

// validText replaces invalid UTF-8 in attributes, which OTLP cannot carry. For example, the kernel accepts any bytes as
// a host name.
func validText(r *sdkresource.Resource) *sdkresource.Resource {
	attrs := r.Attributes()
	for i, a := range attrs {
		if a.Value.Type() == attribute.STRING {
			attrs[i].Value = attribute.StringValue(strings.ToValidUTF8(a.Value.AsString(), "\uFFFD"))
		}
	}
	return sdkresource.NewWithAttributes(r.SchemaURL(), attrs...)
}

// validID matches a valid machine-id(5). A machine-id file without an id is empty or contains "uninitialized".
var validID = regexp.MustCompile("^[0-9a-f]{32}$")

// machineID returns the machine-id of the host, or "" if it has no valid one. Images of virtual machines contain none
// on purpose, so that hosts made from one image do not share it.
func machineID(root string) string {
	for _, name := range []string{"etc/machine-id", "var/lib/dbus/machine-id"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		id := strings.TrimSpace(string(text))
		if err == nil && validID.MatchString(id) && strings.Trim(id, "0") != "" {
			return id
		}
	}
	return ""
}

// bootID returns an id that the host keeps until it is rebooted, or "" if the id cannot be read.
func bootID(root string) string {
	text, err := os.ReadFile(filepath.Join(root, "proc/sys/kernel/random/boot_id"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

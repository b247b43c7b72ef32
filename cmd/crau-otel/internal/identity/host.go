// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"log/slog"

	sdkresource "go.opentelemetry.io/otel/sdk/resource"
)

// Host returns the resource attributes that all observed programs share: those of the host, and OTEL_RESOURCE_ATTRIBUTES.
func Host(ctx context.Context, log *slog.Logger) *sdkresource.Resource {
	id, err := sdkresource.New(ctx, sdkresource.WithHostID())
	if err != nil {
		log.Debug("no host.id", "error", err)
	}
	rest, err := sdkresource.New(ctx, sdkresource.WithTelemetrySDK(), sdkresource.WithHost(), sdkresource.WithOSType(),
		sdkresource.WithFromEnv())
	if err != nil {
		log.Warn("resource is incomplete", "error", err)
	}
	res, err := sdkresource.Merge(id, rest)
	if err != nil {
		log.Warn("resource is incomplete", "error", err)
		return rest
	}
	return res
}

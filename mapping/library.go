// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/schema"
)

// Library is a file whose probes are attached.
type Library struct {
	Name    string // soname, or else the base name of the file
	Path    string // inside its mount namespace
	Version string // "" if unknown
	BuildID string // lower-case hex, "" if the file has none
	Trusted bool   // only the host's root can write the file and its folders

	// TrustedInNamespace replaces Trusted for a file in a separate mount namespace.
	TrustedInNamespace bool
}

// Attributes returns the attributes that spans carry for the library.
func (l Library) Attributes() []attribute.KeyValue {
	attrs := []attribute.KeyValue{schema.AttrLibraryName.String(l.Name), schema.AttrLibraryPath.String(l.Path)}
	if l.Version != "" {
		attrs = append(attrs, schema.AttrLibraryVersion.String(l.Version))
	}
	if l.BuildID != "" {
		attrs = append(attrs, schema.AttrLibraryBuildID.String(l.BuildID))
	}
	if l.TrustedInNamespace {
		attrs = append(attrs, schema.AttrLibraryInNamespace.Bool(true))
	}
	return append(attrs, schema.AttrLibraryTrusted.Bool(l.Trusted))
}

// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/schema"
)

// Library describes a file whose probes are attached.
type Library struct {
	Name    string // soname, or else the base name of the file
	Path    string // path inside the file's mount namespace
	Version string // version of the library; "" if unknown
	BuildID string // build id in lower-case hex; "" if the file has none
	Trusted bool   // only the host's root can write the file and its folders

	// TrustedInNamespace is set instead of Trusted if only root can write the file and its folders, but the file is in a
	// separate mount namespace, whose root may be somebody other than the host's administrator.
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

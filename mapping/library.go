// SPDX-License-Identifier: Apache-2.0

package mapping

import "go.opentelemetry.io/otel/attribute"

// Library is a file whose probes are attached.
type Library struct {
	Name    string // soname, or the base name of the file
	Path    string // inside its mount namespace
	Version string // "" if not told
	BuildID string // lower-case hex, "" if it has none
	Trusted bool   // only root could have written it
}

// Attributes returns what spans say of the library.
func (l Library) Attributes() []attribute.KeyValue {
	attrs := []attribute.KeyValue{attrLibraryName.String(l.Name), attrLibraryPath.String(l.Path)}
	if l.Version != "" {
		attrs = append(attrs, attrLibraryVersion.String(l.Version))
	}
	if l.BuildID != "" {
		attrs = append(attrs, attrLibraryBuildID.String(l.BuildID))
	}
	return append(attrs, attrLibraryTrusted.Bool(l.Trusted))
}

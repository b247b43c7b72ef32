// SPDX-License-Identifier: Apache-2.0

package meaning

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// Several files can contribute to one tree: a program opens a context around a handshake of a TLS library, which calls
// a crypto library. A file's reports are only as credible as the file. Therefore:
//
//   - A context counts for the contexts above it, unless its file is less trusted than theirs. In that case it is
//     marked, and judged as if it were a root.
//   - Data that a file adds to another file's context never count. They become attributes with a prefix.
//   - A tree is only as trusted as the least trusted file that contributed to it in any way.
//
// The trust of a file becomes crypto.library.trusted. The trust of the process that calls the library is a separate
// value: [shape.ProcessTrust].

// isTrusted reports whether only root can write a file. If nothing is known about files, all are trusted.
func (in *Interpreter) isTrusted(file uint32) bool {
	if in.rules.Library == nil || file == event.Wire { // no program controls what the kernel reads from a connection
		return true
	}
	return slices.Contains(in.rules.Library(file), schema.AttrLibraryTrusted.Bool(true))
}

// place decides whether a context counts for those above it. The contexts above must have been placed before.
func (in *Interpreter) place(c *context) {
	c.above, c.top = c.parent, c
	if c.parent != nil && c.parent.File == c.File {
		c.trusted = c.parent.trusted
	} else {
		c.trusted = in.isTrusted(c.File)
	}
	if c.parent != nil && c.parent.trusted && !c.trusted {
		c.above = nil
	}
	if c.above != nil {
		c.top = c.above.top
	}
}

// judgeTrust marks the root if the file of a context, or a file that added data to it, is not trusted.
func (in *Interpreter) judgeTrust(root, c *context) {
	untrusted := !c.trusted
	for i := range c.data {
		untrusted = untrusted || c.data[i].Foreign && !in.isTrusted(c.data[i].File)
	}
	root.judgement.untrusted = root.judgement.untrusted || untrusted
}

// FileTrust says whether only root can write the file that reported an operation.
type FileTrust uint8

// The values.
const (
	FileNone FileTrust = iota // a connection reported it, or nothing is known about files
	FileTrusted
	FileUntrusted
)

// String returns the value as crypto.library.trusted spells it.
func (t FileTrust) String() string { return [...]string{"", "true", "false"}[t] }

func (in *Interpreter) fileTrust(c *context) FileTrust {
	switch {
	case in.rules.Library == nil || c.File == event.Wire:
		return FileNone
	case c.trusted:
		return FileTrusted
	}
	return FileUntrusted
}

// appendProcess appends the attributes that describe how the process is trusted.
func appendProcess(attrs []attribute.KeyValue, head *shape.Head) []attribute.KeyValue {
	if head.UserClass != "" {
		attrs = append(attrs, schema.AttrUserClass.String(head.UserClass))
	}
	return append(attrs, schema.AttrOwnerClass.String(head.Owner), schema.AttrProcessTrust.String(string(head.Trust)))
}

// appendTrust appends the attributes about the files that contributed to the tree.
func (in *Interpreter) appendTrust(attrs []attribute.KeyValue, c *context) []attribute.KeyValue {
	if c.parent != nil && c.above == nil {
		attrs = append(attrs, schema.AttrContextForeign.Bool(true))
	}
	if in.rules.Library == nil {
		return attrs
	}
	var others []string
	for i := range c.data {
		d := &c.data[i]
		if !d.Foreign {
			continue
		}
		for _, a := range in.rules.Library(d.File) {
			if path := a.Value.AsString(); a.Key == schema.AttrLibraryPath && !slices.Contains(others, path) {
				others = append(others, path)
			}
		}
	}
	if others != nil {
		attrs = append(attrs, schema.AttrForeignLibraries.StringSlice(others))
	}
	if c.parent == nil {
		attrs = append(attrs, schema.AttrAllTrusted.Bool(!c.judgement.untrusted))
	}
	return attrs
}

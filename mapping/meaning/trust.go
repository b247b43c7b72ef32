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
//   - The judgement of a context contributes to the contexts above it ("counts for" them), unless the context's file is
//     less trusted than theirs. In that case the span is marked (crypto.context.foreign), and the context is judged as
//     if it were a root.
//   - Data that a file adds to another file's context never affect the judgement. They become attributes with the
//     prefix crypto.foreign.
//   - A tree is only as trusted as the least trusted file that contributed to it in any way.
//
// The trust of a file becomes the attribute crypto.library.trusted. The trust of the process that calls the library is
// a separate value: [shape.ProcessTrust].

// isTrusted reports whether only root can write a file. If Rules.Library is nil, all files are trusted.
func (in *Interpreter) isTrusted(file uint32) bool {
	if in.rules.Library == nil || file == event.Wire { // no program controls what the kernel reads from a connection
		return true
	}
	return slices.Contains(in.rules.Library(file), schema.AttrLibraryTrusted.Bool(true))
}

// place sets c.trusted, and c.above and c.top, which say for which contexts c counts. It must be called for the
// contexts above c first.
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

// judgeTrust marks the root as untrusted if the file that opened c, or a file that added data to c, is not trusted.
func (in *Interpreter) judgeTrust(root, c *context) {
	untrusted := !c.trusted
	for i := range c.data {
		untrusted = untrusted || c.data[i].Foreign && !in.isTrusted(c.data[i].File)
	}
	root.judgement.untrusted = root.judgement.untrusted || untrusted
}

// FileTrust says whether only root can write the file that reported an operation.
type FileTrust uint8

// The values of FileTrust.
const (
	FileNone FileTrust = iota // package wire reported the operation, or Rules.Library is nil
	FileTrusted
	FileUntrusted
)

// String returns the value of the attribute crypto.library.trusted, or "" if the attribute is not set.
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

// appendProcess appends the attributes about the process of the tree: its user, its owner and its trust.
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

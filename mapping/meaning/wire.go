// SPDX-License-Identifier: Apache-2.0

package meaning

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/registry"
	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// Values of crypto.source.
const (
	sourceProbe = "probe"
	sourceWire  = "wire"
	sourceBoth  = "probe+wire"
)

// source returns the value of crypto.source for a root: whether a library (probe), package wire or both reported the
// tree.
func (c *context) source(head *shape.Head) string {
	switch {
	case c.File == event.Wire:
		return sourceWire
	case head.Wire != shape.JoinNone:
		return sourceBoth
	}
	return sourceProbe
}

// appendSource appends crypto.source and, if both a library and package wire reported the tree, how the two reports
// were joined.
func (c *context) appendSource(attrs []attribute.KeyValue, head *shape.Head) []attribute.KeyValue {
	attrs = append(attrs, schema.AttrSource.String(c.source(head)))
	if head.Wire != shape.JoinNone {
		attrs = append(attrs, schema.AttrSourceJoined.String(string(head.Wire)))
	}
	return attrs
}

// Values of error.type, in addition to the names of alerts.
const (
	errorEncryptedAlert = "encrypted_alert" // alert is encrypted, as a TLS 1.3 client's alerts are after the ServerHello
	errorUnanswered     = "unanswered"      // the connection ended or stayed silent before the ServerHello
)

// failure returns why a handshake failed (the value of error.type) and which side sent the alert. reason is "" if the
// handshake is not known to have failed; side is "" if no side is known.
func (c *context) failure() (reason, side string) {
	if c.class() != schema.ClassTLSHandshake {
		return "", ""
	}
	if side = c.text(schema.KeyTLSAlertSide); side != "" {
		if id, ok := c.word(schema.KeyTLSAlert); ok {
			return registry.TLSAlert(id), side
		}
		return errorEncryptedAlert, side
	}
	if _, ok := c.word(schema.KeyTLSUnanswered); ok {
		return errorUnanswered, ""
	}
	return "", ""
}

// failed returns the description of the span's status for a failed handshake.
func failed(reason, side string) string {
	if side == "" {
		return "handshake failed: " + reason
	}
	return "handshake failed: " + reason + " from the " + side
}

// addOffer replaces the list of offered groups if package wire reported all groups that the client offered. A library
// shows only the groups for which it generated key shares.
func (s *summary) addOffer(c *context) {
	d := c.get(schema.KeyTLSOfferedGroups)
	if d == nil {
		return
	}
	s.offered, s.offeredSafe = nil, false
	for _, id := range shape.Codepoints(d) {
		g := registry.TLSGroup(id)
		s.offeredSafe = s.offeredSafe || isSafe(g.Status)
		if !slices.Contains(s.offered, g.Name) && len(s.offered) < maxOffered {
			s.offered = append(s.offered, g.Name)
		}
	}
}

// groupNames returns the names of the groups whose codepoints d contains, at most maxOffered.
func groupNames(d *shape.Datum) []string {
	var names []string
	for _, id := range shape.Codepoints(d) {
		if len(names) < maxOffered {
			names = append(names, registry.TLSGroup(id).Name)
		}
	}
	return names
}

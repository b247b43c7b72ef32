// SPDX-License-Identifier: Apache-2.0

package meaning

import (
	"math"
	"strconv"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/registry"
	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// appendAttributes appends the attributes of c that follow from its data, its judgement, and how it was observed.
func (c *context) appendAttributes(attrs []attribute.KeyValue, head *shape.Head) []attribute.KeyValue {
	var truncated, unreadable []string
	for i := range c.data {
		d := &c.data[i]
		misplaced := d.Key.Interpreted() && !c.Name.Context.Interprets(d.Key)
		key := attribute.Key(d.Key.Attribute)
		switch {
		case d.Foreign:
			key = attribute.Key(schema.ForeignAttribute(d.Key.Emitted))
		case misplaced:
			key = attribute.Key(schema.ReservedAttribute(d.Key.Emitted))
			c.reserved++
		case d.Key.Reserved:
			c.reserved++
		}
		if d.Flags&event.Fault != 0 {
			unreadable = append(unreadable, string(key))
			continue
		}
		if d.Flags&(event.Cut|event.KeyCut) != 0 {
			truncated = append(truncated, string(key))
		}
		if misplaced || d.Foreign {
			attrs = append(attrs, attribute.KeyValue{Key: key, Value: value(d)})
		} else {
			attrs = appendDatum(attrs, d)
		}
	}
	attrs = c.appendJudgement(attrs)
	if c.Name.Text != "" && c.Name.Text != c.spanName() {
		attrs = append(attrs, schema.AttrContextName.String(c.Name.Text))
	}
	if c.parent == nil && head.Pieces > 0 {
		attrs = append(attrs, schema.AttrHandshakeJoined.String(string(head.Join)),
			schema.AttrHandshakePieces.Int(1+head.Pieces))
	}
	if truncated != nil {
		attrs = append(attrs, schema.AttrContextTruncated.StringSlice(truncated))
	}
	if unreadable != nil {
		attrs = append(attrs, schema.AttrContextUnreadable.StringSlice(unreadable))
	}
	if c.Incomplete || c.parent == nil && head.End == shape.EndEvicted {
		attrs = append(attrs, schema.AttrIncomplete.Bool(true))
	}
	if c.Parentage != shape.ParentCertain {
		attrs = append(attrs, schema.AttrContextParent.String(string(c.Parentage)))
	}
	end := head.End
	if c.Superseded {
		end = shape.EndSuperseded
	}
	return append(attrs, schema.AttrContextEnd.String(string(end)))
}

// appendJudgement appends the attributes that follow from the judgement of c and, for a handshake or root, from its
// summary.
func (c *context) appendJudgement(attrs []attribute.KeyValue) []attribute.KeyValue {
	j := &c.judgement
	if reason, _ := c.failure(); reason != "" {
		attrs = append(attrs, schema.AttrErrorType.String(reason))
	}
	if named := c.Name.Context; named.IsHandshake() && c.get(schema.KeyTLSRole) == nil && named.Role != "" {
		attrs = append(attrs, schema.AttrTLSRole.String(named.Role))
	}
	if c.class() == schema.ClassTLSKeyExchange {
		attrs = append(attrs, schema.AttrTLSNegotiated.Bool(j.agreed))
	}
	if j.status != registry.NotApplicable {
		attrs = append(attrs, schema.AttrPQCStatus.String(j.status.String()))
	}
	if j.part != registry.NotApplicable {
		attrs = append(attrs, schema.AttrPQCPart.String(j.part.String()))
	}
	weak := j.weak
	if j.summary != nil {
		attrs = j.summary.appendTo(attrs, c)
		weak = j.summary.weak
	}
	if len(weak) > 0 {
		attrs = append(attrs, schema.AttrWeak.StringSlice(weak))
	}
	return attrs
}

// appendTo appends the attributes that follow from s, the summary of c.
func (s *summary) appendTo(attrs []attribute.KeyValue, c *context) []attribute.KeyValue {
	if s.keyExchange != registry.NotApplicable {
		attrs = append(attrs, schema.AttrPQCKeyExchange.String(s.keyExchange.String()))
	}
	if s.authentication != registry.NotApplicable {
		attrs = append(attrs, schema.AttrPQCAuthentication.String(s.authentication.String()))
	}
	if s.downgraded {
		attrs = append(attrs, schema.AttrPQCDowngraded.Bool(true))
	}
	if s.missing != nil {
		attrs = append(attrs, schema.AttrIncompleteMissing.StringSlice(s.missing))
	}
	if c.class() != schema.ClassTLSHandshake {
		return attrs
	}
	if s.group.Key != nil {
		attrs = appendDatum(attrs, &s.group)
	}
	if s.offered != nil {
		attrs = append(attrs, schema.AttrTLSGroupsOffered.StringSlice(s.offered))
	}
	switch {
	case s.verified.Key != nil:
		attrs = appendDatum(attrs, &s.verified)
	case s.made.Key != nil:
		attrs = appendDatum(attrs, &s.made)
	}
	if c.isResumption() {
		attrs = append(attrs, schema.AttrTLSResumed.Bool(true))
	}
	return attrs
}

// appendDatum appends the attributes for a datum: for a codepoint, the number and the registered name; for a flag, a
// boolean; for any other datum, the key and the value unchanged.
func appendDatum(attrs []attribute.KeyValue, d *shape.Datum) []attribute.KeyValue {
	if d.Type != event.Word {
		switch d.Key.ID {
		case schema.KeyTLSRole:
			return append(attrs, schema.AttrTLSRole.String(d.Text))
		case schema.KeyTLSAlertSide:
			return append(attrs, schema.AttrTLSAlertSide.String(d.Text))
		case schema.KeyTLSOfferedGroups:
			return attrs // appended by summary.appendTo
		case schema.KeyTLSOfferedShares:
			return append(attrs, schema.AttrTLSSharesOffered.StringSlice(groupNames(d)))
		}
		return append(attrs, attribute.KeyValue{Key: attribute.Key(d.Key.Attribute), Value: value(d)})
	}
	id := attribute.KeyValue{Value: value(d)}
	switch d.Key.ID {
	case schema.KeyTLSGroup:
		id.Key = schema.AttrTLSGroupID
		return appendGroup(append(attrs, id), registry.TLSGroup(d.Word))
	case schema.KeyTLSSignatureAlgorithm:
		id.Key = schema.AttrTLSSignatureSchemeID
		return append(attrs, id, schema.AttrTLSSignatureSchemeName.String(registry.TLSSignatureScheme(d.Word).Name))
	case schema.KeyTLSCipherSuite:
		id.Key = schema.AttrTLSCipherSuiteID
		return append(attrs, id, schema.AttrTLSCipher.String(registry.TLSCipherSuite(d.Word).Name))
	case schema.KeyTLSProtocolVersion:
		id.Key = schema.AttrTLSProtocolVersionID
		v := registry.TLSVersion(d.Word)
		if attrs = append(attrs, id); v.Protocol != "" {
			attrs = append(attrs, schema.AttrTLSProtocolName.String(v.Protocol))
		}
		return append(attrs, schema.AttrTLSProtocolVersion.String(v.Name))
	case schema.KeyTLSExtendedMasterSecret:
		return append(attrs, schema.AttrTLSExtendedMasterSecret.Bool(d.Word != 0))
	case schema.KeyTLSKeyExchangeAlgorithm:
		name, _ := registry.TLSKeyExchangeAlgorithm(d.Word)
		return append(attrs, schema.AttrTLSKeyExchangeAlgorithm.String(name))
	case schema.KeyTLSNegotiated, schema.KeyTLSResumed, schema.KeyTLSUnanswered:
		return attrs // appended by appendJudgement and summary.appendTo
	case schema.KeyTLSPrimeBits:
		id.Key = schema.AttrTLSPrimeBits
		return append(attrs, id)
	case schema.KeyTLSAlert:
		id.Key = schema.AttrTLSAlertCode
		return append(attrs, id)
	case schema.KeyTLSRetried:
		return append(attrs, schema.AttrTLSRetried.Bool(d.Word != 0))
	case schema.KeyTLSECHOffered:
		return append(attrs, schema.AttrTLSECHOffered.Bool(d.Word != 0))
	case schema.KeyPKStatic:
		return append(attrs, schema.AttrPKStatic.Bool(d.Word != 0))
	}
	id.Key = attribute.Key(d.Key.Attribute)
	return append(attrs, id)
}

func appendGroup(attrs []attribute.KeyValue, g registry.Group) []attribute.KeyValue {
	attrs = append(attrs, schema.AttrTLSGroupName.String(g.Name))
	if g.Curve != "" {
		attrs = append(attrs, schema.AttrTLSCurve.String(g.Curve))
	}
	return attrs
}

// value returns a datum's value as an attribute value. A number above 2^63-1 becomes a string of its digits.
func value(d *shape.Datum) attribute.Value {
	if d.Type != event.Word {
		return attribute.StringValue(d.Text)
	}
	if d.Word > math.MaxInt64 {
		return attribute.StringValue(strconv.FormatUint(d.Word, 10))
	}
	return attribute.Int64Value(int64(d.Word))
}

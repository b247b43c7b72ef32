// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/crau-otel/crau-otel/bpf"
	"github.com/crau-otel/crau-otel/mapping/registry"
	"github.com/crau-otel/crau-otel/mapping/schema"
)

// group is a section of docs/attributes.md. It lists the attributes whose keys start with one of the prefixes.
type group struct {
	title    string
	prefixes []string
	resource bool // the section lists resource attributes, otherwise span attributes
}

var groups = []group{
	{title: "TLS", prefixes: []string{"tls.", "error."}},
	{title: "Public key operations", prefixes: []string{"pk."}},
	{title: "Judgement", prefixes: []string{"crypto.pqc.", "crypto.weak", "crypto.policy."}},
	{title: "How the context was seen", prefixes: []string{"crypto.context.", "crypto.incomplete", "crypto.source", "crypto.emitted.", "crypto.handshake."}},
	{title: "The file that reported it", prefixes: []string{"crypto.library.", "crypto.foreign."}},
	{title: "Whose process it is", prefixes: []string{"crypto.process.", "crypto.owner."}},
	{title: "Scope: the agent", prefixes: []string{"crau."}},
	{title: "Resource: the observed program", prefixes: []string{""}, resource: true},
}

// has reports whether the section may list an attribute. If several sections may, the first of them does.
func (g *group) has(a schema.Attribute) bool {
	if g.resource != (a.On == onResource) {
		return false
	}
	for _, prefix := range g.prefixes {
		if strings.HasPrefix(string(a.Key), prefix) {
			return true
		}
	}
	return false
}

// onResource is the value of schema.Attribute.On for resource attributes.
const onResource = "resource"

// keyAttributes lists the event keys that become attributes with other names than their own.
var keyAttributes = []struct {
	key        string
	attributes []string
}{
	{"tls::protocol_version", []string{"tls.protocol.version_id", "tls.protocol.name", "tls.protocol.version"}},
	{"tls::ciphersuite", []string{"tls.cipher_suite.id", "tls.cipher"}},
	{"tls::group", []string{"tls.group.id", "tls.group.name", "tls.curve"}},
	{"tls::signature_algorithm", []string{"tls.signature_scheme.id", "tls.signature_scheme.name"}},
	{"tls::ext::extended_master_secret", []string{"tls.extended_master_secret"}},
}

func attributesPage(src *source) (string, error) {
	p := &page{}
	p.WriteString(generated + "# Spans and attributes\n")
	p.text(
		"A cryptographic context is a span, and a context without a parent is the root of a trace. This page lists",
		"the attributes that crau-otel defines. *Handshakes* are the spans `tls::handshake` and `ssh::handshake`,",
		"*operations* those with other registered names, *roots* all spans without a parent. An attribute is only",
		"set if it was observed: a missing status is not a good status. Attributes with the stability `semantic",
		"convention` are named by OpenTelemetry's conventions, the others by this project; the changelog says when",
		"one changes. The folder `semconv` has the same, and the metrics, as a registry for",
		"[OpenTelemetry Weaver](https://github.com/open-telemetry/weaver).")
	spanNames(p)
	if err := grouped(p); err != nil {
		return "", err
	}
	eventKeys(p)
	weakReasons(p)
	if err := policies(p, src); err != nil {
		return "", err
	}
	err := words(p, src)
	return p.String(), err
}

func grouped(p *page) error {
	rows := make([][][]string, len(groups))
	for _, a := range schema.Attributes() {
		i := slices.IndexFunc(groups, func(g group) bool { return g.has(a) })
		if i < 0 {
			return fmt.Errorf("%s belongs to no group of attributes", a.Key)
		}
		rows[i] = append(rows[i], []string{code(string(a.Key)), a.Type, code(a.Example), spans(a.On), a.Meaning, a.Stability})
	}
	for i, g := range groups {
		if rows[i] == nil {
			continue
		}
		p.section(g.title)
		p.table([]string{"attribute", "type", "example", "on", "meaning", "stability"}, rows[i])
	}
	p.text(
		"The resource also has the attributes of `OTEL_RESOURCE_ATTRIBUTES`, except for `service.name` and",
		"`process.executable.name`, and `OTEL_SERVICE_NAME` is ignored: an observed program keeps its name.")
	return nil
}

// spans formats the value of schema.Attribute.On: it puts the names of spans into code marks and leaves other words,
// such as roots, unchanged.
func spans(on string) string {
	names := strings.Split(on, ", ")
	for i, name := range names {
		if strings.Contains(name, "::") {
			names[i] = code(name)
		}
	}
	return strings.Join(names, ", ")
}

func spanNames(p *page) {
	p.section("Span names and kinds")
	p.text(
		"A span has the registered name of its context. If the library emitted an older name, `crypto.context.name`",
		"has that one. A name that is not registered is used as it is; a context without a name is called",
		"`crypto.context`. The kind of a handshake is client or server by its role, and internal if no role was",
		"reported. All other spans are internal.")
	var rows [][]string
	for _, c := range schema.Contexts() {
		var older []string
		for _, o := range c.Older {
			name := code(o)
			if role := schema.OlderRole(o); role != "" {
				name += " (" + role + ")"
			}
			older = append(older, name)
		}
		rows = append(rows, []string{code(c.Name), strings.Join(older, ", "), code(c.Keys...), code(c.Holds...)})
	}
	p.table([]string{"span", "older names", "event keys of its own", "holds"}, rows)
}

func eventKeys(p *page) {
	p.section("Event keys")
	p.text(
		"A library describes a context by keys with values. These keys become attributes of other names:")
	var rows [][]string
	for _, k := range keyAttributes {
		rows = append(rows, []string{code(k.key), code(k.attributes...)})
	}
	p.table([]string{"event key", "attributes"}, rows)
	p.text(
		"Every other key, registered or not, becomes the attribute of its name, with a dot for each `::`:",
		"`pk::algorithm` becomes `pk.algorithm`. A number becomes an int (above 2^63-1, a string of its digits), a",
		"string a string, and a blob a string of hexadecimal digits. Bytes of a string or key that are not UTF-8",
		"are written as `\\xHH`, and characters of a key or name that do not print as escapes such as `\\n`. A key that",
		"is reported again for the same context replaces the earlier value. A key that could be mistaken for an",
		"attribute of crau-otel or of another key becomes `crypto.emitted.` with the key as it was emitted.",
		fmt.Sprintf("A key is cut after %d bytes and a value after %d; `crypto.context.truncated` then names the attribute.",
			bpf.AuditCrauLimitCRAU_MAX_KEY, bpf.AuditCrauLimitCRAU_MAX_VALUE))
}

func weakReasons(p *page) {
	p.section("Reasons in `crypto.weak`")
	var rows [][]string
	for _, w := range registry.WeakReasons() {
		rows = append(rows, []string{code(w.Word), w.Meaning})
	}
	p.table([]string{"reason", "meaning"}, rows)
	p.text("A handshake has the reasons of everything below it, except for key shares that were offered and not negotiated.")
}

func policies(p *page, src *source) error {
	sets, err := src.policies()
	if err != nil {
		return err
	}
	p.section("Rules of the built-in policies")
	p.text(
		"A span violates a rule if the last column is true of it. A span without the attribute does not violate: a",
		"resumption by pre-shared key alone exchanges no key and has no status.")
	var rows [][]string
	for _, set := range sets {
		if set.rules == nil {
			rows = append(rows, []string{code(set.name), "no rules", "", ""})
		}
		for _, r := range set.rules {
			on := "all"
			if r.span != "" {
				on = code(r.span)
			}
			rows = append(rows, []string{
				code(set.name), code(r.name), on,
				fmt.Sprintf("%s %s %s", code(r.attribute), r.operator, code(r.values...)),
			})
		}
	}
	p.table([]string{"policy", "rule", "spans", "violated when"}, rows)
	return nil
}

func words(p *page, src *source) error {
	for _, set := range []struct{ title, typeName string }{
		{"Reasons in `crypto.context.end`", "EndReason"},
		{"Doubts in `crypto.context.parent`", "Parentage"},
		{"Values of `crypto.process.trust`", "ProcessTrust"},
	} {
		words, err := src.words(modulePath+"/mapping/shape", set.typeName)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, w := range words {
			rows = append(rows, []string{code(w.value), w.meaning})
		}
		p.section(set.title)
		p.table([]string{"word", "meaning"}, rows)
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// differentialRuns is how many random programs the differential test runs; their seeds are 0, 1, and so on. To run more
// than CI does: `go test ./mapping -run Differential -differential 100000`.
var differentialRuns = flag.Int("differential", 3000, "random programs of the differential test")

// player emits the events of a random program: threads of two processes that report contexts in all styles, including
// events that make no sense.
type player struct {
	*feed
	r *rand.Rand
}

func (p player) one(of ...string) string { return of[p.r.IntN(len(of))] }

func (p player) id() uint64 { return 1 + uint64(p.r.IntN(5)) }

var playedNames = []string{
	"tls::key_exchange", "tls::key_exchange", "tls::sign", "tls::verify", "tls::verify_cert_chain", "pk::generate", "pk::derive",
	"pk::derive", "pk::encapsulate", "pk::decapsulate", "pk::sign", "pk::verify", "pk::encrypt", "app::thing",
}

// playedGroups maps the names of the groups that player.group emits to their code points.
var playedGroups = map[string]string{
	"x25519": "29", "secp192r1": "19", "X25519MLKEM768": "4588", "MLKEM768": "513", "unknown (0x7777)": "30583",
}

// about returns random pairs for a context, including its name unless that is empty.
func (p player) about(name string) (pairs []event.Pair) {
	if name != "" {
		pairs = append(pairs, s("name", name))
	}
	for range p.r.IntN(3) {
		switch p.r.IntN(9) {
		case 0:
			pairs = append(pairs, p.group())
		case 1:
			pairs = append(pairs, w("tls::signature_algorithm", []uint64{1027, 515, 2309, 30000}[p.r.IntN(4)]))
		case 2:
			pairs = append(pairs, w("tls::protocol_version", []uint64{769, 771, 772}[p.r.IntN(3)]))
		case 3:
			pairs = append(pairs, w("app::n", uint64(p.r.IntN(1000))))
		case 4:
			pairs = append(pairs, w("tls::ciphersuite", []uint64{5, 0x1301}[p.r.IntN(2)]))
		case 5:
			pairs = append(pairs, w("pk::bits", []uint64{1024, 2048}[p.r.IntN(2)]), s("pk::hash", p.one("SHA1", "SHA256")))
		case 6:
			pairs = append(pairs, p.ssh())
		default:
			pairs = append(pairs, p.algorithm())
		}
	}
	return pairs
}

func (p player) group() event.Pair {
	return w("tls::group", []uint64{29, 19, 4588, 513, 30583}[p.r.IntN(5)])
}

func (p player) algorithm() event.Pair {
	return s("pk::algorithm", p.one("ECDH", "RSA", "ML-KEM-768", "ML-DSA-65", "X25519MLKEM768", "made-up"))
}

// ssh returns a random pair for a context of SSH.
func (p player) ssh() event.Pair {
	switch p.r.IntN(6) {
	case 0, 1:
		return s("ssh::kex_algorithm", p.one("curve25519-sha256", "diffie-hellman-group1-sha1", "mlkem768x25519-sha256"))
	case 2:
		return s("ssh::c2s_cipher", p.one("3des-cbc", "aes128-ctr"))
	case 3:
		return w("ssh::rsa_bits", []uint64{1024, 2048}[p.r.IntN(2)])
	case 4:
		return s("ssh::cert_signature_algorithm", p.one("ssh-rsa", "ssh-ed25519", "ssh-mldsa-65"))
	}
	return s("ssh::key_algorithm", p.one("ssh-rsa", "ssh-ed25519", "ssh-mldsa-65"))
}

// handshake emits a TLS handshake, some of whose parts are missing, repeated or out of place.
func (p player) handshake() {
	id := 10 * p.id()
	p.Enter(4 + uint64(p.r.IntN(3)))
	p.Open(id, none, name(p.one("tls::handshake", "tls::handshake_client", "tls::handshake_server")))
	p.parts(id)
	if p.r.IntN(2) == 0 { // a second handshake inside the first
		p.Open(id+100, id+uint64(p.r.IntN(4)), name(p.one("app::thing", "tls::handshake_client")))
		p.Open(id+200, id+100, name(p.one("tls::handshake", "tls::handshake_client", "tls::handshake_server")))
		p.parts(id + 200)
	}
}

// parts emits the data and the child contexts of the TLS handshake with that id.
func (p player) parts(id uint64) {
	p.Data(id, w("tls::protocol_version", []uint64{769, 771, 772, 772, 772}[p.r.IntN(5)]))
	for i := range 1 + uint64(p.r.IntN(3)) {
		above := id + 1 + i
		switch p.r.IntN(6) {
		case 0:
			p.Open(above, id, name("app::thing"))
			p.Open(above, above, name("tls::key_exchange"), p.group())
		case 1:
			above = id
		case 2:
			p.Open(above, id, name("tls::key_exchange"))
		default:
			p.Open(above, id, name("tls::key_exchange"), p.group())
		}
		for range p.r.IntN(3) {
			p.Open(id+5, above, name(p.one("pk::generate", "pk::generate", "pk::derive", "pk::decapsulate", "app::thing")), p.algorithm())
		}
	}
	if p.r.IntN(2) == 0 {
		p.Open(id+6, id, append(p.about(p.one("tls::sign", "tls::verify", "pk::sign")), w("tls::signature_algorithm", 515))...)
		p.Open(id+7, id+6, p.about(p.one("pk::sign", "pk::verify"))...)
	}
}

// sshHandshake emits an SSH handshake.
func (p player) sshHandshake() {
	id := 10 * p.id()
	p.Open(id, none, name("ssh::handshake"), s("ssh::role", p.one("client", "server", "other")))
	p.Open(id+1, id, name("ssh::key_exchange"), p.ssh(), p.ssh(), p.ssh())
	if p.r.IntN(2) == 0 {
		p.Open(id+2, id+1, name(p.one("pk::generate", "pk::derive")), p.algorithm())
	}
	for range p.r.IntN(3) {
		p.Open(id+3, id, name(p.one("ssh::client_key", "ssh::server_key")), p.ssh(), p.ssh())
		if p.r.IntN(2) == 0 {
			p.Open(id+4, id+3, p.about(p.one("pk::sign", "pk::verify"))...)
		}
	}
}

// step emits the events of one random action.
func (p player) step() {
	p.PID = 10 + uint32(p.r.IntN(2))
	p.TID = 10*p.PID + uint32(p.r.IntN(2))
	switch n := p.r.IntN(26); {
	case n == 24:
		p.handshake()
	case n == 25:
		p.sshHandshake()
	case n < 3: // as GnuTLS: a handshake of a session
		id := p.id()
		parent := []uint64{none, none, 0, p.id()}[p.r.IntN(4)]
		if parent != id {
			p.Enter(1 + uint64(p.r.IntN(3)))
			p.Open(id, parent)
			p.Data(id, p.about(p.one("tls::handshake_client", "tls::handshake_server"))...)
		}
	case n < 9: // as GnuTLS: a context below one with another id
		if id, parent := p.id(), p.id(); id != parent {
			p.Open(id, parent)
			p.Data(id, p.about(p.one(playedNames...))...)
		}
	case n < 14: // as OpenSSL: a context that names itself as parent
		id := p.id()
		p.Open(id, id, p.about(p.one(append(playedNames, "tls::handshake", "tls::handshake", "tls::handshake")...))...)
	case n < 15: // as OpenSSL: a context that names itself as parent and gets its name later
		id := p.id()
		p.Open(id, id)
		if p.r.IntN(4) == 0 { // another context opens below it before the name arrives
			p.Open(id+50, id, p.about(p.one(playedNames...))...)
		}
		p.Data(id, p.about(p.one(append(playedNames, "tls::handshake")...))...)
	case n < 17: // a context without data that is linked to a parent, and usually the one that takes it over
		id, parent := p.id(), p.id()
		if id != parent {
			p.Open(id, parent)
		}
		if p.r.IntN(3) > 0 {
			p.Open(id, id, p.about(p.one(playedNames...))...)
		}
	case n < 19: // a context with all of its data
		if id, parent := p.id(), []uint64{none, 0, p.id()}[p.r.IntN(3)]; id != parent {
			p.Open(id, parent, p.about(p.one(playedNames...))...)
		}
	case n < 22:
		p.Data(p.id(), p.about("")...)
	case n < 23:
		p.Leave(1 + uint64(p.r.IntN(3)))
	default:
		if p.r.IntN(10) == 0 {
			p.Event(event.Event{Kind: event.ProcessExit})
		}
	}
}

// For any events, mapping and the model build the same trees with the same statuses, weak reasons and operations.
func TestMappingAndTheModelAgree(t *testing.T) {
	t.Parallel()
	trees, different := 0, 0
	for seed := range uint64(*differentialRuns) {
		f := newFeed(t, Config{})
		m := newModel(uint64(defaultIdleTimeout))
		var log strings.Builder
		handle := f.Handle
		f.Handle = func(ev *event.Event) {
			fmt.Fprintln(&log, describe(ev))
			handle(ev)
			m.handle(ev)
		}
		p := player{f, rand.New(rand.NewPCG(seed, 15))}
		for range 5 + p.r.IntN(30) {
			p.step()
			if p.r.IntN(10) == 0 {
				p.Now += uint64(p.r.IntN(3)) * sec
				fmt.Fprintln(&log, "tick", p.Now)
				f.m.Tick(p.Now)
				m.tick(p.Now)
			}
		}
		f.finish()
		m.end("shutdown", func(*modelTree) bool { return true })
		var got, want []string
		for _, tree := range f.trees {
			got = append(got, drawTree(tree))
		}
		for _, tree := range m.finished {
			want = append(want, tree.text())
		}
		slices.Sort(got)
		slices.Sort(want)
		trees += len(want)
		if !slices.Equal(got, want) {
			if different++; different <= 3 {
				t.Errorf("seed %d:\n%smapping alone:\n%s\nmodel alone:\n%s", seed, log.String(), without(got, want), without(want, got))
			}
		}
		if t.Failed() && different == 0 {
			t.Fatalf("seed %d:\n%s", seed, log.String())
		}
	}
	if different > 0 {
		t.Errorf("%d of %d programs differ", different, *differentialRuns)
	}
	if trees < *differentialRuns {
		t.Errorf("only %d trees of %d programs: the test is too weak", trees, *differentialRuns)
	}
}

// without returns the trees that are not among others.
func without(trees, others []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(trees), func(tree string) bool { return slices.Contains(others, tree) }), "")
}

func describe(ev *event.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d/%d %v context=%d parent=%d", ev.PID, ev.TID, ev.Kind, ev.Context, int64(ev.Parent))
	for _, pair := range ev.Pairs {
		fmt.Fprintf(&b, " %s=%s%d", pair.Key, pair.Value, pair.Word)
	}
	return b.String()
}

// drawTree returns a tree as text in the format of modelTree.text.
func drawTree(t Tree) string {
	root := attributeMap(t.Spans[0].Attributes())
	pieces, _ := strconv.Atoi(cmp.Or(root["crypto.handshake.pieces"], "1"))
	var b strings.Builder
	fmt.Fprintf(&b, "%s pieces=%d\n", root["crypto.context.end"], pieces-1)
	drawSpan(&b, t.Spans, 0, 1)
	var counted []string
	for i := range t.Operations {
		op := &t.Operations[i]
		about := ""
		if op.Handshake {
			version := map[string]string{"1.0": "769", "1.2": "771", "1.3": "772"}[op.ProtocolVersion]
			about = fmt.Sprint(version, op.Downgraded)
		}
		counted = append(counted, strings.Join([]string{op.Name, op.Role, op.Status.String(), about}, "|"))
	}
	slices.Sort(counted)
	fmt.Fprintln(&b, " ", counted)
	return b.String()
}

func drawSpan(b *strings.Builder, spans []Span, i, depth int) {
	attrs := attributeMap(spans[i].Attributes())
	fields := map[string]string{
		"doubt": attrs["crypto.context.parent"], "status": attrs["crypto.pqc.status"], "part": attrs["crypto.pqc.part"],
		"negotiated": attrs["tls.key_exchange.negotiated"], "key exchange": attrs["crypto.pqc.key_exchange.status"],
		"authentication": attrs["crypto.pqc.authentication.status"], "app::n": attrs["app.n"], "pk::algorithm": attrs["pk.algorithm"],
		"tls::role": attrs["tls.role"], "downgraded": attrs["crypto.pqc.downgraded"],
	}
	for _, list := range []struct{ field, attribute string }{{"weak", "crypto.weak"}, {"offered", "tls.groups.offered"}} {
		values := strings.FieldsFunc(attrs[list.attribute], func(c rune) bool { return strings.ContainsRune(`[]",`, c) })
		if list.field == "weak" {
			slices.Sort(values)
		}
		for i := range values {
			values[i] = cmp.Or(playedGroups[values[i]], values[i])
		}
		fields[list.field] = strings.Join(values, ",")
	}
	if spans[i].Name == "tls::handshake" {
		fields["negotiated group"] = attrs["tls.group.id"]
	}
	for _, key := range []string{
		"pk::bits", "pk::hash", "ssh::role", "ssh::kex_algorithm", "ssh::c2s_cipher", "ssh::key_algorithm", "ssh::rsa_bits",
		"ssh::cert_signature_algorithm",
	} {
		if fields[key] = attrs[strings.ReplaceAll(key, "::", ".")]; fields[key] != "" && !modelHas(modelKeys[key], spans[i].Name) {
			fields[key] = "elsewhere"
		}
	}
	for key, as := range map[string]string{
		"tls::group": "tls.group", "tls::signature_algorithm": "tls.signature_scheme", "tls::protocol_version": "tls.protocol.version",
		"tls::ciphersuite": "tls.cipher_suite",
	} {
		id := attrs[as+"_id"] + attrs[as+".id"]
		switch {
		case modelHas(modelKeys[key], spans[i].Name):
			fields[key] = id
		// The id in a handshake may summarize its children, so it does not count.
		case attrs["crypto.emitted."+key] != "" || id != "" && spans[i].Name != "tls::handshake":
			fields[key] = "elsewhere"
		}
	}
	if fields["pk::algorithm"] != "" && !modelHas(modelKeys["pk::algorithm"], spans[i].Name) {
		fields["pk::algorithm"] = "elsewhere"
	}
	b.WriteString(strings.Repeat("  ", depth) + spans[i].Name)
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if fields[key] != "" {
			fmt.Fprintf(b, " %s=%s", key, fields[key])
		}
	}
	b.WriteByte('\n')
	for j := range spans {
		if spans[j].ParentID == spans[i].SpanID {
			drawSpan(b, spans, j, depth+1)
		}
	}
}

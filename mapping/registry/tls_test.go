// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"encoding/csv"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/mapping/registry"
)

// rows returns the rows of a data file without the heading. It fails the test unless there are want rows.
func rows(t *testing.T, file string, want int) [][]string {
	t.Helper()
	f, err := os.Open("data/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(all)-1 != want {
		t.Fatalf("%s has %d rows, want %d", file, len(all)-1, want)
	}
	return all[1:]
}

func codepoint(t *testing.T, s string) uint64 {
	t.Helper()
	id, err := strconv.ParseUint(s, 0, 16)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestTLSGroup(t *testing.T) {
	t.Parallel()
	weakEC := []string{"ec_below_224"}
	for id, want := range map[uint64]registry.Group{
		0x0000:  {ID: 0, Name: "unknown (0x0000)", Status: registry.Unknown},
		0x0001:  {ID: 1, Name: "sect163k1", Status: registry.Classical, Curve: "sect163k1", Weak: weakEC},
		0x0006:  {ID: 6, Name: "sect233k1", Status: registry.Classical, Curve: "sect233k1"},
		0x0013:  {ID: 0x13, Name: "secp192r1", Status: registry.Classical, Curve: "secp192r1", Weak: weakEC},
		0x0014:  {ID: 0x14, Name: "secp224k1", Status: registry.Classical, Curve: "secp224k1"},
		0x0017:  {ID: 0x17, Name: "secp256r1", Status: registry.Classical, Curve: "secp256r1"},
		0x001d:  {ID: 0x1d, Name: "x25519", Status: registry.Classical, Curve: "x25519"},
		0x001e:  {ID: 0x1e, Name: "x448", Status: registry.Classical, Curve: "x448"},
		0x001f:  {ID: 0x1f, Name: "brainpoolP256r1tls13", Status: registry.Classical, Curve: "brainpoolP256r1"},
		0x0022:  {ID: 0x22, Name: "GC256A", Status: registry.Classical, Curve: "GC256A"},
		0x0029:  {ID: 0x29, Name: "curveSM2", Status: registry.Classical, Curve: "curveSM2"},
		0x0100:  {ID: 0x100, Name: "ffdhe2048", Status: registry.Classical},
		0x0201:  {ID: 0x201, Name: "MLKEM768", Status: registry.PostQuantum},
		0x11eb:  {ID: 0x11eb, Name: "SecP256r1MLKEM768", Status: registry.Hybrid},
		0x11ec:  {ID: 0x11ec, Name: "X25519MLKEM768", Status: registry.Hybrid},
		0x11ee:  {ID: 0x11ee, Name: "curveSM2MLKEM768", Status: registry.Hybrid},
		0x6399:  {ID: 0x6399, Name: "X25519Kyber768Draft00", Status: registry.Hybrid},
		0x7777:  {ID: 0x7777, Name: "unknown (0x7777)", Status: registry.Unknown},
		0xfe30:  {ID: 0xfe30, Name: "unknown (0xfe30)", Status: registry.Unknown},
		0xff01:  {ID: 0xff01, Name: "arbitrary_explicit_prime_curves", Status: registry.Classical},
		0xffff:  {ID: 0xffff, Name: "unknown (0xffff)", Status: registry.Unknown},
		0x10017: {Name: "unknown (0x10017)", Status: registry.Unknown},
		1<<64 - 1: {
			Name: "unknown (0xffffffffffffffff)", Status: registry.Unknown,
		},
	} {
		if got := registry.TLSGroup(id); !reflect.DeepEqual(got, want) {
			t.Errorf("TLSGroup(%#x) = %+v, want %+v", id, got, want)
		}
	}
}

func TestTLSSignatureScheme(t *testing.T) {
	t.Parallel()
	for id, want := range map[uint64]registry.Scheme{
		0x0101:  {"rsa_pkcs1_md5", registry.Classical, []string{"md5_signature"}},
		0x0201:  {"rsa_pkcs1_sha1", registry.Classical, []string{"sha1_signature"}},
		0x0202:  {"dsa_sha1", registry.Classical, []string{"sha1_signature"}},
		0x0203:  {"ecdsa_sha1", registry.Classical, []string{"sha1_signature"}},
		0x0301:  {"rsa_pkcs1_sha224", registry.Classical, nil},
		0x0401:  {"rsa_pkcs1_sha256", registry.Classical, nil},
		0x0402:  {"dsa_sha256", registry.Classical, nil},
		0x0403:  {"ecdsa_secp256r1_sha256", registry.Classical, nil},
		0x0603:  {"ecdsa_secp521r1_sha512", registry.Classical, nil},
		0x0804:  {"rsa_pss_rsae_sha256", registry.Classical, nil},
		0x0807:  {"ed25519", registry.Classical, nil},
		0x0841:  {"gostr34102012_512", registry.Classical, nil},
		0x0905:  {"mldsa65", registry.PostQuantum, nil},
		0x0917:  {"slhdsa_shake_128s", registry.PostQuantum, nil},
		0x0000:  {"unknown (0x0000)", registry.Unknown, nil},
		0x0204:  {"unknown (0x0204)", registry.Unknown, nil},
		0x0907:  {"unknown (0x0907)", registry.Unknown, nil},
		0xffff:  {"unknown (0xffff)", registry.Unknown, nil},
		0x10201: {"unknown (0x10201)", registry.Unknown, nil},
	} {
		if got := registry.TLSSignatureScheme(id); !reflect.DeepEqual(got, want) {
			t.Errorf("TLSSignatureScheme(%#x) = %+v, want %+v", id, got, want)
		}
	}
}

func TestTLSCipherSuite(t *testing.T) {
	t.Parallel()
	for id, want := range map[uint64]registry.Suite{
		0x0000:  {"TLS_NULL_WITH_NULL_NULL", []string{"null_cipher", "anonymous"}},
		0x0003:  {"TLS_RSA_EXPORT_WITH_RC4_40_MD5", []string{"export_cipher", "rc4"}},
		0x0006:  {"TLS_RSA_EXPORT_WITH_RC2_CBC_40_MD5", []string{"export_cipher", "64_bit_blocks"}},
		0x0007:  {"TLS_RSA_WITH_IDEA_CBC_SHA", []string{"64_bit_blocks"}},
		0x0009:  {"TLS_RSA_WITH_DES_CBC_SHA", []string{"des"}},
		0x000a:  {"TLS_RSA_WITH_3DES_EDE_CBC_SHA", []string{"3des"}},
		0x0019:  {"TLS_DH_anon_EXPORT_WITH_DES40_CBC_SHA", []string{"anonymous", "export_cipher", "des"}},
		0x002c:  {"TLS_PSK_WITH_NULL_SHA", []string{"null_cipher"}},
		0x0066:  {"TLS_DHE_DSS_WITH_RC4_128_SHA", []string{"rc4"}},
		0x00ff:  {"TLS_EMPTY_RENEGOTIATION_INFO_SCSV", nil},
		0x1301:  {"TLS_AES_128_GCM_SHA256", nil},
		0xc015:  {"TLS_ECDH_anon_WITH_NULL_SHA", []string{"anonymous", "null_cipher"}},
		0xc02f:  {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", nil},
		0xc0b4:  {"TLS_SHA256_SHA256", []string{"null_cipher"}},
		0xcca8:  {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", nil},
		0x5601:  {"unknown (0x5601)", nil},
		0x11301: {"unknown (0x11301)", nil},
	} {
		if got := registry.TLSCipherSuite(id); !reflect.DeepEqual(got, want) {
			t.Errorf("TLSCipherSuite(%#x) = %+v, want %+v", id, got, want)
		}
	}
}

func TestTLSVersion(t *testing.T) {
	t.Parallel()
	weak := []string{"tls_below_1_2"}
	for id, want := range map[uint64]registry.Version{
		0x0002:  {"ssl", "2", weak},
		0x0300:  {"ssl", "3", weak},
		0x0301:  {"tls", "1.0", weak},
		0x0302:  {"tls", "1.1", weak},
		0x0303:  {"tls", "1.2", nil},
		0x0304:  {"tls", "1.3", nil},
		0x0100:  {"dtls", "0.9", weak},
		0xfeff:  {"dtls", "1.0", weak},
		0xfefd:  {"dtls", "1.2", nil},
		0xfefc:  {"dtls", "1.3", nil},
		0xfefe:  {"", "unknown (0xfefe)", nil}, // never assigned: DTLS has no version 1.1
		0x0305:  {"", "unknown (0x0305)", nil},
		0x10303: {"", "unknown (0x10303)", nil},
	} {
		if got := registry.TLSVersion(id); !reflect.DeepEqual(got, want) {
			t.Errorf("TLSVersion(%#x) = %+v, want %+v", id, got, want)
		}
	}
}

func TestTLSKeyExchangeAlgorithm(t *testing.T) {
	t.Parallel()
	for id, want := range map[uint64]struct {
		name   string
		status registry.Status
	}{
		0: {"ECDHE", registry.Classical},
		1: {"DHE", registry.Classical},
		2: {"PSK", registry.NotApplicable},
		3: {"ECDHE-PSK", registry.Classical},
		4: {"DHE-PSK", registry.Classical},
		5: {"unknown (0x0005)", registry.Unknown},
	} {
		if name, status := registry.TLSKeyExchangeAlgorithm(id); name != want.name || status != want.status {
			t.Errorf("TLSKeyExchangeAlgorithm(%d) = %q, %v, want %+v", id, name, status, want)
		}
	}
}

// The GREASE codepoints of RFC 8701 are unknown. Clients send them to keep peers tolerant of new codepoints, so a
// library may report one.
func TestGREASE(t *testing.T) {
	t.Parallel()
	for n := range uint64(16) {
		id := n<<12 | 0x0a00 | n<<4 | 0x0a
		want := "unknown (0x" + strconv.FormatUint(1<<16|id, 16)[1:] + ")"
		g, s := registry.TLSGroup(id), registry.TLSSignatureScheme(id)
		if g.Name != want || g.Status != registry.Unknown || s.Name != want || s.Status != registry.Unknown ||
			registry.TLSCipherSuite(id).Name != want || registry.TLSVersion(id).Name != want {
			t.Errorf("%#x is not %s: %+v, %+v", id, want, g, s)
		}
	}
}

func TestDataRoundTrips(t *testing.T) {
	t.Parallel()
	for _, row := range rows(t, "tls_groups.csv", 57) {
		g := registry.TLSGroup(codepoint(t, row[0]))
		if uint64(g.ID) != codepoint(t, row[0]) || g.Name != row[1] || g.Status.String() != row[2] {
			t.Errorf("%v came back as %+v", row, g)
		}
		// The vocabulary must give the same result as the table, also in upper and lower case. The two groups
		// arbitrary_explicit_* are skipped: their names belong to no family.
		if strings.HasPrefix(g.Name, "arbitrary_explicit") {
			continue
		}
		for _, name := range []string{row[1], strings.ToLower(row[1]), strings.ToUpper(row[1])} {
			if status, weak := registry.PublicKey("pk::derive", "", "", name, "", 0); status != g.Status ||
				!slices.Equal(weak, g.Weak) {
				t.Errorf("PublicKey of group %s: %v %v, want %v %v", name, status, weak, g.Status, g.Weak)
			}
		}
	}
	for _, row := range rows(t, "tls_signature_schemes.csv", 49) {
		s := registry.TLSSignatureScheme(codepoint(t, row[0]))
		if s.Name != row[1] || s.Status.String() != row[2] {
			t.Errorf("%v came back as %+v", row, s)
		}
		if status, weak := registry.PublicKey("pk::sign", row[1], "", "", "", 0); status != s.Status ||
			!slices.Equal(weak, s.Weak) {
			t.Errorf("PublicKey of scheme %s: %v %v, want %v %v", row[1], status, weak, s.Status, s.Weak)
		}
	}
	for _, row := range rows(t, "tls_ciphersuites.csv", 356) {
		s := registry.TLSCipherSuite(codepoint(t, row[0]))
		if s.Name != row[1] {
			t.Errorf("%v came back as %+v", row, s)
		}
		for reason, part := range map[string]string{
			"rc4": "_RC4_", "3des": "_3DES_", "export_cipher": "_EXPORT_", "anonymous": "_anon_",
		} {
			if strings.Contains(s.Name, part) != slices.Contains(s.Weak, reason) && s.Name != "TLS_NULL_WITH_NULL_NULL" {
				t.Errorf("%s: %v", s.Name, s.Weak)
			}
		}
	}
}

func TestStatusString(t *testing.T) {
	t.Parallel()
	for status, want := range map[registry.Status]string{
		registry.NotApplicable: "",
		registry.PostQuantum:   "post_quantum",
		registry.Hybrid:        "hybrid",
		registry.Classical:     "classical",
		registry.Unknown:       "unknown",
		registry.Unknown + 1:   "unknown",
	} {
		if got := status.String(); got != want {
			t.Errorf("%d: %q, want %q", status, got, want)
		}
	}
}

// WeakReasons contains exactly the weak reasons that the tables and the judgements return.
func TestWeakReasonsAreThoseOfTheDocumentation(t *testing.T) {
	t.Parallel()
	used := make(map[string]bool)
	use := func(weak []string) {
		for _, word := range weak {
			used[word] = true
		}
	}
	for id := range uint64(0x10000) {
		use(registry.TLSGroup(id).Weak)
		use(registry.TLSSignatureScheme(id).Weak)
		use(registry.TLSCipherSuite(id).Weak)
		use(registry.TLSVersion(id).Weak)
	}
	for _, algorithm := range []string{"RSA", "DSA", "DH", "EC"} {
		_, weak := registry.PublicKey("pk::sign", algorithm, "", "", "SHA1", 1)
		use(weak)
	}
	for _, cipher := range []string{"none", "3des-cbc", "blowfish-ctr"} {
		use(registry.SSHCipher(cipher))
	}
	for _, mac := range []string{"none", "hmac-md5", "hmac-sha1"} {
		use(registry.SSHMAC(mac))
	}
	_, exchange := registry.SSHKeyExchange("diffie-hellman-group14-sha1")
	use(exchange)
	for _, reason := range registry.WeakReasons() {
		if !used[reason.Word] || reason.Meaning == "" {
			t.Errorf("%+v is never used or has no meaning", reason)
		}
		delete(used, reason.Word)
	}
	if len(used) != 0 {
		t.Errorf("not documented: %v", used)
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	for name, lookup := range map[string]func(){
		"group":        func() { registry.TLSGroup(0x11ec) },
		"scheme":       func() { registry.TLSSignatureScheme(0x0905) },
		"weak scheme":  func() { registry.TLSSignatureScheme(0x0201) },
		"suite":        func() { registry.TLSCipherSuite(0x000a) },
		"version":      func() { registry.TLSVersion(0x0301) },
		"key exchange": func() { registry.TLSKeyExchangeAlgorithm(3) },
		"ssh kex":      func() { registry.SSHKeyExchange("sntrup761x25519-sha512@openssh.com") },
		"ssh key":      func() { registry.SSHKeyAlgorithm("ssh-rsa-cert-v01@openssh.com", 0) },
		"public key":   func() { registry.PublicKey("pk::sign", "EC/ECDSA", "SECP256R1", "", "SHA256", 256) },
	} {
		if n := testing.AllocsPerRun(100, lookup); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Attribute documents one attribute that spans or resources carry. docs/attributes.md is generated from these.
type Attribute struct {
	Key       attribute.Key
	Type      string // string, int, boolean or string[]
	Example   string
	On        string // the spans that carry it, or "resource"
	When      string // when it is set and what it says
	Stability string // "semantic convention" or "crau-otel"
}

const (
	convention = "semantic convention"
	ours       = "crau-otel"
)

// Attributes returns every attribute that crau-otel defines. Other event keys become attributes by writing each :: as a
// dot.
func Attributes() []Attribute { return append([]Attribute(nil), documented...) }

var documented []Attribute

// define documents an attribute and returns its key. Code gets attribute keys in no other way.
func define(key attribute.Key, typ, example, on, when, stability string) attribute.Key {
	documented = append(documented, Attribute{key, typ, example, on, when, stability})
	return key
}

// Of TLS contexts.
var (
	AttrTLSRole = define("tls.role", "string", "client", "tls::handshake",
		"Which side this program was: client or server.", ours)
	AttrTLSProtocolName = define(semconv.TLSProtocolNameKey, "string", "tls", "tls::handshake",
		"The version was reported: ssl, tls or dtls.", convention)
	AttrTLSProtocolVersion = define(semconv.TLSProtocolVersionKey, "string", "1.3", "tls::handshake",
		"The version was reported: the negotiated one.", convention)
	AttrTLSProtocolVersionID = define("tls.protocol.version_id", "int", "772", "tls::handshake",
		"The version was reported: its number on the wire.", ours)
	AttrTLSCipher = define(semconv.TLSCipherKey, "string", "TLS_AES_256_GCM_SHA384", "tls::handshake",
		"The cipher suite was reported: its IANA name.", convention)
	AttrTLSCipherSuiteID = define("tls.cipher_suite.id", "int", "4866", "tls::handshake",
		"The cipher suite was reported: its IANA code point.", ours)
	AttrTLSExtendedMasterSecret = define("tls.extended_master_secret", "boolean", "true", "tls::handshake",
		"TLS 1.2: whether the extended master secret (RFC 7627) is used.", ours)
	AttrTLSResumed = define(semconv.TLSResumedKey, "boolean", "true", "tls::handshake",
		"The version was reported, and the handshake looks like a resumption: no signature was made or verified.",
		convention)
	AttrTLSCurve = define(semconv.TLSCurveKey, "string", "x25519", "tls::key_exchange, tls::handshake",
		"The group is an elliptic curve alone; on a handshake, of the negotiated group.", convention)
	AttrTLSGroupID = define("tls.group.id", "int", "4588", "tls::key_exchange, tls::handshake",
		"The group was reported: its IANA code point; on a handshake, of the negotiated group.", ours)
	AttrTLSGroupName = define("tls.group.name", "string", "X25519MLKEM768", "tls::key_exchange, tls::handshake",
		"As tls.group.id: the IANA name, or unknown (0x....).", ours)
	AttrTLSGroupsOffered = define("tls.groups.offered", "string[]", "[X25519MLKEM768, secp256r1]", "tls::handshake",
		"A client made key shares: the names of their groups in order.", ours)
	AttrTLSNegotiated = define("tls.key_exchange.negotiated", "boolean", "true", "tls::key_exchange",
		"Always: whether a shared secret was made with this group; false for a share that was only offered.", ours)
	AttrTLSSignatureSchemeID = define("tls.signature_scheme.id", "int", "1027",
		"tls::sign, tls::verify, tls::handshake",
		"The scheme was reported: its IANA code point; on a handshake, of the peer's signature, else of the program's own.", ours)
	AttrTLSSignatureSchemeName = define("tls.signature_scheme.name", "string", "ecdsa_secp256r1_sha256",
		"tls::sign, tls::verify, tls::handshake", "As tls.signature_scheme.id: the IANA name, or unknown (0x....).", ours)
	AttrTLSKeyExchangeAlgorithm = define("tls.key_exchange_algorithm", "string", "ECDHE", "tls::key_exchange",
		"An older library reported the kind of key exchange: ECDHE, DHE, PSK, ECDHE-PSK or DHE-PSK.", ours)
)

// Of public key operations.
var (
	AttrPKStatic = define("pk.static", "boolean", "false", "pk::derive", "Whether the key of the derivation is static.",
		ours)
)

// Of the judgement.
var (
	AttrPQCStatus = define("crypto.pqc.status", "string", "hybrid", "operations",
		"The operation's algorithm, group or scheme was reported: post_quantum, hybrid, classical or unknown. "+
			"A part of a hybrid has the status of the whole.", ours)
	AttrPQCPart = define("crypto.pqc.part", "string", "classical", "operations",
		"The operation is a part of a larger one: the status that it would have alone.", ours)
	AttrPQCKeyExchange = define("crypto.pqc.key_exchange.status", "string", "hybrid", "roots, handshakes",
		"A key exchange was seen: post_quantum, hybrid, classical or unknown. Of a handshake only the negotiated one counts.",
		ours)
	AttrPQCAuthentication = define("crypto.pqc.authentication.status", "string", "classical", "roots, handshakes",
		"A signature was made or verified: the least safe status among them.", ours)
	AttrPQCDowngraded = define("crypto.pqc.downgraded", "boolean", "true", "roots, handshakes",
		"A client offered a post-quantum or hybrid group and got a classical key exchange.", ours)
	AttrWeak = define("crypto.weak", "string[]", "[sha1_signature]", "operations, handshakes, roots",
		"Something is weak even without a quantum computer: the reasons, which are listed below.", ours)
	AttrPolicyViolations = define("crypto.policy.violations", "string[]", "[hybrid-ok/key-exchange]", "all",
		"The configured policy has rules that the span violates: their names. The span's status is error.", ours)
)

// Of how a context was seen, rather than what it did.
var (
	AttrContextID = define("crypto.context.id", "string", "9f86d081884c7d659a2feaa0c55ad001", "all",
		"Always: the context and its thread, encrypted under a key of this run of crau-otel.", ours)
	AttrContextName = define("crypto.context.name", "string", "tls::handshake_client", "all",
		"The library emitted another name than the registry's, which the span has.", ours)
	AttrContextEnd = define("crypto.context.end", "string", "idle", "all",
		"Always: why the end was inferred: idle, process_exit, superseded, session_closed, shutdown or evicted.", ours)
	AttrContextParent = define("crypto.context.parent", "string", "unknown", "all",
		"The parent is in doubt. Of a root: it named one that is unknown (not open) or cyclic (below a context of the same "+
			"id); or missing: data came for a context whose opening was not seen. Else inferred: the parent it named cannot "+
			"be, and the schema decided.", ours)
	AttrContextTruncated = define("crypto.context.truncated", "string[]", "[app.note]", "all",
		"Attributes whose value or key was longer than the limit: only the start is here.", ours)
	AttrContextUnreadable = define("crypto.context.unreadable", "string[]", "[app.note]", "all",
		"Attributes whose value could not be read from the process.", ours)
	AttrIncomplete = define("crypto.incomplete", "boolean", "true", "all",
		"Data of this context was lost on its way.", ours)
	AttrHandshakeJoined = define("crypto.handshake.joined", "string", "exact", "tls::handshake",
		"The handshake was reported in pieces: exact (the library reported the session) or inferred.", ours)
	AttrHandshakePieces = define("crypto.handshake.pieces", "int", "2", "tls::handshake",
		"The handshake was reported in pieces: how many.", ours)
)

// Of the file whose probes were hit.
var (
	AttrLibraryName = define("crypto.library.name", "string", "libgnutls.so.30", "roots, and spans of another file than their parent's",
		"Always: the library's soname, or the program's name.", ours)
	AttrLibraryPath = define("crypto.library.path", "string", "/usr/lib/x86_64-linux-gnu/libgnutls.so.30",
		"as crypto.library.name", "Always: where it was found, inside its mount namespace.", ours)
	AttrLibraryVersion = define("crypto.library.version", "string", "30.40.3", "as crypto.library.name",
		"The file's name has one: what follows .so.", ours)
	AttrLibraryBuildID = define("crypto.library.build_id", "string", "e8df34c8358ad837c4417d1f2f02ae74aa28ea28",
		"as crypto.library.name", "The file has a GNU build id.", ours)
	AttrLibraryTrusted = define("crypto.library.trusted", "boolean", "true", "as crypto.library.name",
		"Always: whether root owns the file and every folder above it, and only root can write there. "+
			"Anybody can run a program that reports whatever it likes.", ours)
)

// Of the observed program.
var (
	AttrUserClass = define("crypto.process.user_class", "string", "regular", "roots",
		"Always, unless the kernel's record of the process was lost: root; system (1 to 999, and users that systemd makes "+
			"up); regular; nobody; namespaced (65536 and above, users of containers).", ours)
	AttrInstance = define("crau.instance.id", "string", "0b8c4f36-79d5-4a3e-9d7c-2f5d2f0e6b6a", "scope",
		"Always: this run of crau-otel.", ours)
	AttrServiceName = define(semconv.ServiceNameKey, "string", "nginx", "resource",
		"Always: the name that services in the configuration gives, else the executable's name, or unknown_service.", convention)
	_ = define(semconv.ServiceInstanceIDKey, "string", "3f2a4d0e-2f0c-5f0a-8f5e-0f9f6a5c3b1d", "resource",
		"The kernel's record of the process arrived: a UUID made of the host, the container or unit, and the executable; with "+
			"privacy.process full also of the process.", convention)
	_ = define(semconv.ContainerIDKey, "string", "4c01db0b339c6f1f3e6f0e0b7e2c7ab2d3b6e2a55c0d2c1f2b7c5f7a7e2d1c9b", "resource",
		"The process's cgroup is that of a container of Docker, containerd, CRI-O or Podman.", convention)
	_ = define(semconv.ContainerRuntimeNameKey, "string", "docker", "resource",
		"As container.id, if the cgroup's name has it: docker, containerd, cri-o or podman.", convention)
	_ = define(semconv.K8SPodUIDKey, "string", "275ecb36-5aa8-4c2a-9c47-d8bb681b9aff", "resource",
		"The process's cgroup is that of a Kubernetes pod.", convention)
	_ = define("systemd.unit", "string", "nginx.service", "resource",
		"The process's cgroup is that of a unit and of no container.", ours)
	_ = define(semconv.ProcessExecutableBuildIDGNUKey, "string", "e8df34c8358ad837c4417d1f2f02ae74aa28ea28", "resource",
		"The executable has a GNU build id, and a process that executes it was examined.", convention)
	AttrExecutableName = define(semconv.ProcessExecutableNameKey, "string", "nginx", "resource",
		"Always, as service.name.", convention)
	_ = define(semconv.HostNameKey, "string", "web-1", "resource", "Always: the host's name.", convention)
	_ = define(semconv.HostIDKey, "string", "fdbf79e8af94cb7f9e8df36789187052", "resource",
		"The host has a machine id: machine-id(5).", convention)
	_ = define(semconv.OSTypeKey, "string", "linux", "resource", "Always.", convention)
	_ = define(semconv.TelemetrySDKNameKey, "string", "opentelemetry", "resource", "Always.", convention)
	_ = define(semconv.TelemetrySDKLanguageKey, "string", "go", "resource", "Always: of crau-otel.", convention)
	_ = define(semconv.TelemetrySDKVersionKey, "string", "1.47.0", "resource", "Always: of crau-otel.", convention)
	_ = define(semconv.ProcessPIDKey, "int", "4711", "resource",
		"privacy.process is full: the process id in the initial namespace.", convention)
	_ = define(semconv.ProcessOwnerKey, "string", "www-data", "resource",
		"privacy.process is full: the user's name, or its number.", convention)
	_ = define(semconv.ProcessExecutablePathKey, "string", "/usr/sbin/nginx", "resource",
		"privacy.process is full and the process still ran when it was asked.", convention)
	_ = define(semconv.ProcessCommandArgsKey, "string[]", "[nginx, -g, daemon off;]", "resource",
		"privacy.process is full and the process still ran when it was asked.", convention)
)

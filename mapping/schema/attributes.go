// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Attribute documents one attribute of spans or resources. docs/attributes.md is generated from the values of this
// type.
type Attribute struct {
	Key       attribute.Key
	Type      string // string, int, boolean or string[]
	Example   string
	On        string // the spans that have the attribute, or "resource"
	Meaning   string // what the attribute means, and when it is set
	Stability string // "semantic convention" or "crau-otel"
}

// Conventional reports whether the attribute is one of OpenTelemetry's semantic conventions.
func (a Attribute) Conventional() bool { return a.Stability == convention }

const (
	convention = "semantic convention"
	ours       = "crau-otel"
)

// Attributes returns every documented attribute. It does not contain the attributes of event keys that become the
// attribute of the same name, with a dot for each "::".
func Attributes() []Attribute { return append([]Attribute(nil), documented...) }

var documented []Attribute

// define documents an attribute and returns its key. Code must take attribute keys from define, so that every
// attribute is documented.
func define(key attribute.Key, typ, example, on, when, stability string) attribute.Key {
	documented = append(documented, Attribute{key, typ, example, on, when, stability})
	return key
}

// Attributes of TLS contexts.
var (
	AttrTLSRole = define("tls.role", "string", "client", "tls::handshake",
		"Which side this program was: client or server.", ours)
	AttrTLSProtocolName = define(semconv.TLSProtocolNameKey, "string", "tls", "tls::handshake",
		"The protocol: ssl, tls or dtls. Set if the version was reported.", convention)
	AttrTLSProtocolVersion = define(semconv.TLSProtocolVersionKey, "string", "1.3", "tls::handshake",
		"The negotiated version. Set if it was reported.", convention)
	AttrTLSProtocolVersionID = define("tls.protocol.version_id", "int", "772", "tls::handshake",
		"The negotiated version as its number on the wire. Set if it was reported.", ours)
	AttrTLSCipher = define(semconv.TLSCipherKey, "string", "TLS_AES_256_GCM_SHA384", "tls::handshake",
		"The cipher suite's IANA name. Set if the suite was reported.", convention)
	AttrTLSCipherSuiteID = define("tls.cipher_suite.id", "int", "4866", "tls::handshake",
		"The cipher suite's IANA code point. Set if the suite was reported.", ours)
	AttrTLSExtendedMasterSecret = define("tls.extended_master_secret", "boolean", "true", "tls::handshake",
		"Whether TLS 1.2 uses the extended master secret (RFC 7627).", ours)
	AttrTLSResumed = define(semconv.TLSResumedKey, "boolean", "true", "tls::handshake",
		"The handshake takes up an earlier session, as the connection shows. Absent where only a library's probes report the "+
			"handshake: an external pre-shared key looks the same to them.",
		convention)
	AttrTLSCurve = define(semconv.TLSCurveKey, "string", "x25519", "tls::key_exchange, tls::handshake",
		"The elliptic curve, if the group is one and nothing else. On a handshake, of the negotiated group.", convention)
	AttrTLSGroupID = define("tls.group.id", "int", "4588", "tls::key_exchange, tls::handshake",
		"The group's IANA code point. Set if the group was reported; on a handshake, of the negotiated group.", ours)
	AttrTLSGroupName = define("tls.group.name", "string", "X25519MLKEM768", "tls::key_exchange, tls::handshake",
		"The IANA name for tls.group.id, or unknown (0x....).", ours)
	AttrTLSGroupsOffered = define("tls.groups.offered", "string[]", "[X25519MLKEM768, secp256r1]", "tls::handshake",
		"The groups that the client offered, in order. Where only a library's probes report the handshake, those of the key "+
			"shares that a client made.", ours)
	AttrTLSSharesOffered = define("tls.key_shares.offered", "string[]", "[X25519MLKEM768, x25519]", "tls::handshake",
		"The groups for which the client sent key shares in its first hello. From the wire.", ours)
	AttrTLSRetried = define("tls.hello_retry_request", "boolean", "true", "tls::handshake",
		"The server asked for another key share with a HelloRetryRequest. From the wire.", ours)
	AttrTLSECHOffered = define("tls.ech.offered", "boolean", "true", "tls::handshake",
		"The client sent an Encrypted ClientHello, or GREASE for one: what it offers to the server inside is not seen. "+
			"From the wire.", ours)
	AttrTLSPrimeBits = define("tls.dh.prime_bits", "int", "2048", "tls::key_exchange",
		"The size of the prime of a finite-field key exchange of TLS 1.2 and older. From the wire.", ours)
	AttrErrorType = define(semconv.ErrorTypeKey, "string", "handshake_failure", "tls::handshake",
		"Why the handshake failed: the IANA name of the alert; encrypted_alert, the client gave up behind the ServerHello of "+
			"TLS 1.3; or unanswered, no ServerHello came. The span's status is error. From the wire.", convention)
	AttrTLSAlertCode = define("tls.alert.code", "int", "40", "tls::handshake",
		"The alert's IANA code point. Set if an alert was seen in the clear. From the wire.", ours)
	AttrTLSAlertSide = define("tls.alert.side", "string", "server", "tls::handshake",
		"Which side sent the alert: client or server. From the wire.", ours)
	AttrTLSNegotiated = define("tls.key_exchange.negotiated", "boolean", "true", "tls::key_exchange",
		"Whether a shared secret was made with this group; false for a share that was only offered. Always set.", ours)
	AttrTLSSignatureSchemeID = define("tls.signature_scheme.id", "int", "1027",
		"tls::sign, tls::verify, tls::handshake",
		"The scheme's IANA code point. Set if the scheme was reported; on a handshake, of the peer's signature if there is "+
			"one.", ours)
	AttrTLSSignatureSchemeName = define("tls.signature_scheme.name", "string", "ecdsa_secp256r1_sha256",
		"tls::sign, tls::verify, tls::handshake", "The IANA name for tls.signature_scheme.id, or unknown (0x....).", ours)
	AttrTLSKeyExchangeAlgorithm = define("tls.key_exchange_algorithm", "string", "ECDHE", "tls::key_exchange",
		"The kind of key exchange, as older libraries report it: ECDHE, DHE, PSK, ECDHE-PSK or DHE-PSK.", ours)
)

// Attributes of public key operations.
var (
	AttrPKStatic = define("pk.static", "boolean", "false", "pk::derive", "Whether the key of the derivation is static.",
		ours)
)

// Attributes that state the judgement of an operation, handshake or root.
var (
	AttrPQCStatus = define("crypto.pqc.status", "string", "hybrid", "operations",
		"The status: post_quantum, hybrid, classical or unknown. A part of a hybrid has the status of the whole. "+
			"Set if the operation's algorithm, group or scheme was reported.", ours)
	AttrPQCPart = define("crypto.pqc.part", "string", "classical", "operations",
		"The status that the operation would have alone. Set on parts of larger operations.", ours)
	AttrPQCKeyExchange = define("crypto.pqc.key_exchange.status", "string", "hybrid", "roots, handshakes",
		"The status of the key exchange. Only the negotiated one of a handshake counts. Set if one was seen.",
		ours)
	AttrPQCAuthentication = define("crypto.pqc.authentication.status", "string", "classical", "roots, handshakes",
		"The least safe status of all signatures made or verified. Set if there was one.", ours)
	AttrPQCDowngraded = define("crypto.pqc.downgraded", "boolean", "true", "roots, handshakes",
		"A client offered a post-quantum or hybrid group and got a classical key exchange.", ours)
	AttrWeak = define("crypto.weak", "string[]", "[sha1_signature]", "operations, handshakes, roots",
		"Why something is weak even without a quantum computer: the reasons listed below.", ours)
	AttrPolicyViolations = define("crypto.policy.violations", "string[]", "[hybrid-ok/key-exchange]", "all",
		"The names of the rules that the span violates. Its status is error.", ours)
)

// Attributes that describe how a context was observed.
var (
	AttrContextID = define("crypto.context.id", "string", "9f86d081884c7d659a2feaa0c55ad001", "all",
		"The context and its thread, encrypted under a key of this run of crau-otel. Always set.", ours)
	AttrContextName = define("crypto.context.name", "string", "tls::handshake_client", "all",
		"The name that the library emitted, if it is not the registered one.", ours)
	AttrContextEnd = define("crypto.context.end", "string", "idle", "all",
		"Why the end was inferred: idle, process_exit, superseded, observed, session_closed, shutdown or "+
			"evicted. Always set.", ours)
	AttrContextParent = define("crypto.context.parent", "string", "unknown", "all",
		"Why the parent is in doubt. On a root: unknown (the named parent is not open), cyclic (it is below a context of the "+
			"same id), or missing (data came for a context whose opening was not seen). On others: inferred (the named parent "+
			"is impossible, and the schema decided).", ours)
	AttrContextTruncated = define("crypto.context.truncated", "string[]", "[app.note]", "all",
		"The attributes whose key or value was cut at its limit.", ours)
	AttrContextUnreadable = define("crypto.context.unreadable", "string[]", "[app.note]", "all",
		"The attributes whose value could not be read from the process.", ours)
	AttrIncomplete = define("crypto.incomplete", "boolean", "true", "all",
		"Data of this context was lost. On roots, also: the tree was evicted before it was over.", ours)
	AttrIncompleteMissing = define("crypto.incomplete.missing", "string[]", "[key_exchange, authentication]", "handshakes",
		"What an incomplete handshake lacks: protocol_version, key_exchange, authentication. The status of an evicted one is "+
			"then unknown.", ours)
	AttrHandshakeJoined = define("crypto.handshake.joined", "string", "exact", "tls::handshake",
		"How the pieces of a handshake were joined: exact (by its session) or inferred. Set if there were several.", ours)
	AttrHandshakePieces = define("crypto.handshake.pieces", "int", "2", "tls::handshake",
		"The number of pieces. Set if there were several.", ours)
)

// AttrEmitted stands for the attributes that [ReservedAttribute] returns.
var AttrEmitted = define("crypto.emitted.*", "any", "nginx", "all",
	"An event key that could be mistaken for an attribute of crau-otel or of another key: it contains a dot, is in a "+
		"namespace of crau-otel, or is a TLS key that the span's context does not have. The key follows the prefix as it was "+
		"emitted: crypto.emitted.service::name.", ours)

// Attributes of contexts and trees to which several files contributed.
var (
	// AttrForeign stands for the attributes that [ForeignAttribute] returns.
	AttrForeign = define("crypto.foreign.*", "any", "server", "all",
		"A value that another file added to a context which it did not open. It does not count for the judgement. The key "+
			"follows the prefix as it was emitted: crypto.foreign.tls::role.", ours)
	AttrForeignLibraries = define("crypto.context.foreign_libraries", "string[]", "[/usr/bin/app]", "all",
		"The files that added such values: their crypto.library.path.", ours)
	AttrContextForeign = define("crypto.context.foreign", "boolean", "true", "all but roots",
		"The file that opened the context is not trusted, and that of its parent is: the context does not count for those "+
			"above it.", ours)
	AttrAllTrusted = define("crypto.library.all_trusted", "boolean", "false", "roots",
		"Whether crypto.library.trusted is true of every file that contributed to the tree. Always set.", ours)
)

// Attributes of the file whose probes reported the context.
var (
	AttrLibraryName = define("crypto.library.name", "string", "libgnutls.so.30",
		"roots, and spans of another file than their parent's", "The library's soname, or the program's name. Always set.", ours)
	AttrLibraryPath = define("crypto.library.path", "string", "/usr/lib/x86_64-linux-gnu/libgnutls.so.30",
		"as crypto.library.name", "Where the file was found, inside its mount namespace. Always set.", ours)
	AttrLibraryVersion = define("crypto.library.version", "string", "30.40.3", "as crypto.library.name",
		"What follows .so. in the file's name.", ours)
	AttrLibraryBuildID = define("crypto.library.build_id", "string", "e8df34c8358ad837c4417d1f2f02ae74aa28ea28",
		"as crypto.library.name", "The file's GNU build id, if it has one.", ours)
	AttrLibraryTrusted = define("crypto.library.trusted", "boolean", "true", "as crypto.library.name",
		"Whether root owns the file and every folder above it, and only root can write there, on the host. Always set. "+
			"It says nothing about the process: see crypto.process.trust.", ours)
)

// AttrLibraryInNamespace marks a file that only root can write, where root may be the root of a container.
var AttrLibraryInNamespace = define("crypto.library.trusted_in_namespace", "boolean", "true", "as crypto.library.name",
	"Only root can write the file, but it is in a separate mount namespace, such as a container's, where somebody other "+
		"than the host's administrator may be root. crypto.library.trusted is then false. Set if true.", ours)

// Attributes that describe who reported a tree.
var (
	AttrSource = define("crypto.source", "string", "probe+wire", "roots",
		"Who reported the tree: probe, a library with probes; wire, the packets of the connection; or probe+wire, both. "+
			"Always set.", ours)
	AttrSourceJoined = define("crypto.source.joined", "string", "exact", "roots",
		"How the reports of the library and of the wire were joined: exact, the hello was sent inside the library's call for "+
			"the session; or inferred, by thread, role and time. Set if crypto.source is probe+wire.", ours)
)

// Attributes of the observed program.
var (
	AttrUserClass = define("crypto.process.user_class", "string", "regular", "roots",
		"The class of the user: root, system (1 to 999, and systemd's dynamic users), regular, nobody, or namespaced (65536 "+
			"and above, users of containers). Set unless the kernel's record of the process was lost.", ours)
	AttrOwnerClass = define("crypto.owner.class", "string", "system", "roots",
		"Who uses the share of the limits that the process counts against: root, system (a service's user), container or user. "+
			"Always set.", ours)
	AttrProcessTrust = define("crypto.process.trust", "string", "system", "roots",
		"Whether what the process reports about itself can be believed: root, system, container, user, foreign_code or "+
			"unknown, as listed below. Always set.", ours)
	AttrInstance = define("crau.instance.id", "string", "0b8c4f36-79d5-4a3e-9d7c-2f5d2f0e6b6a", "scope",
		"The run of crau-otel that made the span. Always set.", ours)
	AttrServiceName = define(semconv.ServiceNameKey, "string", "nginx", "resource",
		"The name that the key services gives, else the executable's name, else unknown_service. Always set.", convention)
	_ = define(semconv.ServiceInstanceIDKey, "string", "3f2a4d0e-2f0c-5f0a-8f5e-0f9f6a5c3b1d", "resource",
		"A UUID made from the host, the path of the cgroup, and the executable; with privacy.process full also from the "+
			"process. Set unless the kernel's record of the process was lost.", convention)
	_ = define(semconv.ContainerIDKey, "string", "4c01db0b339c6f1f3e6f0e0b7e2c7ab2d3b6e2a55c0d2c1f2b7c5f7a7e2d1c9b", "resource",
		"The container of Docker, containerd, CRI-O or Podman, if the process's cgroup names one and only root could do so. Of "+
			"nested containers, the outermost.", convention)
	_ = define(semconv.ContainerRuntimeNameKey, "string", "docker", "resource",
		"The runtime of that container: docker, containerd, cri-o or podman.", convention)
	_ = define(semconv.K8SPodUIDKey, "string", "275ecb36-5aa8-4c2a-9c47-d8bb681b9aff", "resource",
		"The Kubernetes pod of the program.", convention)
	_ = define("systemd.unit", "string", "nginx.service", "resource",
		"The systemd unit of a program outside containers. For a user's own units, user@UID.service.", ours)
	_ = define("crau.nested.container.id", "string", "4c01db0b339c6f1f3e6f0e0b7e2c7ab2d3b6e2a55c0d2c1f2b7c5f7a7e2d1c9b", "resource",
		"A container that is named by a cgroup which users or containers created themselves, as for rootless and nested "+
			"containers. The processes there can choose the name.", ours)
	_ = define("crau.nested.k8s.pod.uid", "string", "275ecb36-5aa8-4c2a-9c47-d8bb681b9aff", "resource",
		"A Kubernetes pod, named in the same way.", ours)
	_ = define("crau.nested.systemd.unit", "string", "app.service", "resource",
		"A unit of a user's own systemd, or of a container's, named in the same way.", ours)
	_ = define(semconv.ProcessExecutableBuildIDGNUKey, "string", "e8df34c8358ad837c4417d1f2f02ae74aa28ea28", "resource",
		"The executable's GNU build id. Set once discovery has examined a process that executes it.", convention)
	AttrExecutableName = define(semconv.ProcessExecutableNameKey, "string", "nginx", "resource",
		"The executable's name. Always set. Of a program that a dynamic loader was asked to run (ld.so PROGRAM), the name of the "+
			"only program whose code the process had mapped at its first event; the loader's if there were several.", convention)
	_ = define(semconv.HostNameKey, "string", "web-1", "resource", "The host's name. Always set.", convention)
	_ = define(semconv.HostIDKey, "string", "fdbf79e8af94cb7f9e8df36789187052", "resource",
		"The host's machine-id(5), if it has one.", convention)
	_ = define(semconv.OSTypeKey, "string", "linux", "resource", "Always set.", convention)
	_ = define(semconv.TelemetrySDKNameKey, "string", "opentelemetry", "resource", "Always set.", convention)
	_ = define(semconv.TelemetrySDKLanguageKey, "string", "go", "resource",
		"The language of crau-otel. Always set.", convention)
	_ = define(semconv.TelemetrySDKVersionKey, "string", "1.47.0", "resource",
		"The version that crau-otel uses. Always set.", convention)
	_ = define(semconv.ProcessPIDKey, "int", "4711", "resource",
		"The process id in the initial namespace, with privacy.process full.", convention)
	_ = define(semconv.ProcessOwnerKey, "string", "www-data", "resource",
		"The user's name, or else its number, with privacy.process full.", convention)
	_ = define(semconv.ProcessExecutablePathKey, "string", "/usr/sbin/nginx", "resource",
		"Only with privacy.process full, and if the process still ran when it was examined.", convention)
	_ = define(semconv.ProcessCommandArgsKey, "string[]", "[nginx, -g, daemon off;]", "resource",
		"Only with privacy.process full, and if the process still ran when it was examined.", convention)
)

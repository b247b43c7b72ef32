// SPDX-License-Identifier: Apache-2.0

package config

import (
	"log/slog"
	"time"

	"github.com/crau-otel/crau-otel/mapping/policy"
)

// The values of the key exporter.
const (
	ExporterOTLP    = "otlp"
	ExporterConsole = "console"
	ExporterNone    = "none"
)

// The values of the keys console.format and log.format.
const (
	FormatText = "text"
	FormatJSON = "json"
)

// The values of the key privacy.process.
const (
	ProcessNone = "none"
	ProcessFull = "full"
)

// The values of the key console.color.
const (
	ColorAuto   = "auto"
	ColorAlways = "always"
	ColorNever  = "never"
)

// Config is the configuration of the agent. Its zero value is not valid: start from [Default].
type Config struct {
	// Libraries are paths of files whose probes are attached whether or not discovery finds the files.
	Libraries []string  `yaml:"libraries"`
	Discovery Discovery `yaml:"discovery"`
	Wire      Wire      `yaml:"wire"`
	// Scopes are the scopes of the contexts and keys that are traced, such as tls, ssh or pk. If Scopes is empty, all
	// scopes are traced.
	Scopes []string `yaml:"scopes"`
	// Services gives names to observed programs; the first element that matches a program decides. A program without a
	// match is named after its executable.
	Services []Service `yaml:"services"`
	// Exporter selects where spans are sent: otlp, console or none.
	Exporter string  `yaml:"exporter"`
	Console  Console `yaml:"console"`
	Log      Log     `yaml:"log"`
	Ring     Ring    `yaml:"ring"`
	Spans    Spans   `yaml:"spans"`
	// Policy defines which spans are violations.
	Policy   policy.Config `yaml:"policy"`
	Privacy  Privacy       `yaml:"privacy"`
	Metrics  Metrics       `yaml:"metrics"`
	Sampling Sampling      `yaml:"sampling"`
	Limits   Limits        `yaml:"limits"`
	Shutdown Shutdown      `yaml:"shutdown"`
	// Sandbox makes the agent drop the rights that it needs only at start, such as those to write files, execute programs
	// and load BPF programs.
	Sandbox bool `yaml:"sandbox"`
	// User is the user that the agent switches to at start, as name or name:group. If User is empty, the agent does not
	// switch.
	User string `yaml:"user"`
	// Pprof is the loopback address, such as 127.0.0.1:6060, on which the agent serves profiles of itself. If Pprof is
	// empty, the agent serves no profiles.
	Pprof string `yaml:"pprof"`
}

// Discovery configures how files with probes are found. Its patterns may contain the wildcards * (any characters but
// /), ** (any characters) and ? (one character but /). A pattern without a slash is compared with the last part of a
// path only.
type Discovery struct {
	// Enabled is whether to search for files with probes.
	Enabled bool `yaml:"enabled"`
	// Allow lists patterns for paths of files, as the processes that use the files see them. If Allow is not empty, a file
	// is attached only if its path matches one of the patterns.
	Allow []string `yaml:"allow"`
	// Deny lists patterns for paths of files that are not attached, even if Allow permits them.
	Deny []string `yaml:"deny"`
	// DenyExecutables lists patterns for paths of programs whose processes are not examined.
	DenyExecutables []string `yaml:"deny_executables"`
	// DenyCgroups lists patterns for paths of cgroups whose processes are not examined.
	DenyCgroups []string `yaml:"deny_cgroups"`
	// MaxFiles is the largest number of files that are attached at the same time, 1 to 65536.
	MaxFiles int `yaml:"max_files"`
	// MaxFilesPerContainer is the largest number of attached files that were first seen in the same container or systemd
	// unit, 1 to 65536.
	MaxFilesPerContainer int `yaml:"max_files_per_container"`
	// MaxSites is the largest number of sites that are attached at the same time, 1 to 16384.
	MaxSites int `yaml:"max_sites"`
	// MaxSitesPerContainer is the largest number of attached sites in files that were first seen in the same container or
	// systemd unit, 1 to 16384.
	MaxSitesPerContainer int `yaml:"max_sites_per_container"`
}

// Wire configures how handshakes are read from the packets that open TLS and SSH connections.
type Wire struct {
	// Enabled is whether to read handshakes from packets.
	Enabled bool `yaml:"enabled"`
	// DenyPorts lists at most 256 ports, 1 to 65535 each. A connection is not examined if its local or its remote port is
	// in the list.
	DenyPorts []int `yaml:"deny_ports"`
	// DenyCgroups lists at most 1024 cgroups, as paths in the cgroup version 2 hierarchy. Connections of these cgroups and
	// of the cgroups below them are not examined.
	DenyCgroups []string `yaml:"deny_cgroups"`
}

// Service gives a name to the programs that match all of its patterns. [path.Match] defines the syntax of patterns. An
// empty pattern matches every program.
type Service struct {
	// Name is the service.name of the programs.
	Name string `yaml:"name"`
	// Executable is a pattern for the file name of the executable, without its directory.
	Executable string `yaml:"executable"`
	// Unit is a pattern for the name of the systemd unit.
	Unit string `yaml:"unit"`
}

// Console configures the console exporter.
type Console struct {
	// Format is text, which is meant for people, or json, which has one object per line.
	Format string `yaml:"format"`
	// Color is when to use colours: auto (only on a terminal), always or never.
	Color string `yaml:"color"`
}

// Log configures the agent's own log.
type Log struct {
	// Level is the least severe level logged: debug, info, warn or error.
	Level string `yaml:"level"`
	// Format is text or json.
	Format string `yaml:"format"`
}

// SlogLevel returns l.Level as a [slog.Level], or info if l.Level is not valid.
func (l Log) SlogLevel() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return slog.LevelInfo
	}
	return level
}

// Ring configures the BPF ring buffer through which the kernel passes events to the agent.
type Ring struct {
	// Size is the size of the buffer, a power of two from 64KiB to 1GiB.
	Size ByteSize `yaml:"size"`
	// PollInterval is the longest time that an event waits in the buffer, 100us to 1s. A buffer that fills up is read
	// earlier.
	PollInterval time.Duration `yaml:"poll_interval"`
}

// Spans configures how contexts become spans.
type Spans struct {
	// IdleTimeout is the time without events after which a tree ends, 10ms to 1h. It has to be inferred from silence that
	// a tree has ended, because no probe marks the end.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
	// Detail is full, to export all spans, or handshake, to export only the root of each handshake, which summarizes the
	// handshake.
	Detail string `yaml:"detail"`
	// Whole lists the kinds of trees that are exported with all their spans even if Detail is handshake: trees with
	// violations of the policy, downgrades or weak reasons, failed handshakes, and trees that are the first of their kind
	// in an hour.
	Whole []string `yaml:"whole"`
}

// The values of the key spans.detail.
const (
	DetailFull      = "full"
	DetailHandshake = "handshake"
)

// The values of the key spans.whole, in addition to those of sampling.keep.
const (
	WholeFailed = "failed"
	WholeFirst  = "first"
)

// Privacy configures which data leaves the host.
type Privacy struct {
	// Process is full, to export the id, path, owner and command line of processes, or none.
	Process string `yaml:"process"`
	Keys    Keys   `yaml:"keys"`
}

// Keys selects which keys of events are exported. Its patterns, which [path.Match] defines, are compared with keys as
// probes emit them, such as tls::group.
type Keys struct {
	// Allow lists patterns for keys. If Allow is not empty, keys that match none of the patterns are not exported.
	Allow []string `yaml:"allow"`
	// Deny lists patterns for keys that are not exported, even if Allow permits them.
	Deny []string `yaml:"deny"`
}

// Metrics configures the metrics that the agent exports.
type Metrics struct {
	// MaxSeries is the largest number of series of one instrument, 16 to 1000000. Further series are counted together.
	MaxSeries int `yaml:"max_series"`
}

// The values of the key sampling.keep.
const (
	KeepViolations = "violations"
	KeepDowngrades = "downgrades"
	KeepWeak       = "weak"
)

// Sampling configures exceptions to the sampler that OTEL_TRACES_SAMPLER selects.
type Sampling struct {
	// Keep lists the kinds of trees that are exported even if the sampler drops them: trees with violations of the policy,
	// downgrades to classical key exchange, or weak reasons.
	Keep []string `yaml:"keep"`
}

// Limits bounds the data that the agent holds and the events that it accepts. What is lost because of a limit is
// counted.
type Limits struct {
	// OpenContexts is the largest number of open contexts, 1 to 16777216.
	OpenContexts int `yaml:"open_contexts"`
	// TreeSpans is the largest number of spans in one tree, 1 to 1048576.
	TreeSpans int `yaml:"tree_spans"`
	// Processes is the largest number of processes for which state is kept, 1 to 4194304, which is the kernel's
	// PID_MAX_LIMIT.
	Processes int `yaml:"processes"`
	// ProcessRate is the largest number of events per second that are accepted from one process, 1000 to 100000000.
	ProcessRate int `yaml:"process_rate"`
	// OpenBytes is the memory for the keys and values in open contexts, 1MiB to 64GiB.
	OpenBytes ByteSize `yaml:"open_bytes"`
	// QueueBytes is the memory for spans that wait for the receiver, 1MiB to 64GiB.
	QueueBytes ByteSize `yaml:"queue_bytes"`
}

// Shutdown configures how the agent ends.
type Shutdown struct {
	// Timeout is the longest time that the agent spends at its end on reading the remaining events and exporting the
	// remaining spans, 100ms to 10m.
	Timeout time.Duration `yaml:"timeout"`
}

// Default returns the configuration that applies if no source sets a key.
func Default() Config {
	return Config{
		Libraries: []string{},
		Discovery: Discovery{
			Enabled: true,
			Allow:   []string{}, Deny: []string{}, DenyExecutables: []string{}, DenyCgroups: []string{},
			MaxFiles: 1024, MaxFilesPerContainer: 64, MaxSites: 8192, MaxSitesPerContainer: 2048,
		},
		Wire:     Wire{Enabled: true, DenyPorts: []int{}, DenyCgroups: []string{}},
		Scopes:   []string{},
		Services: []Service{},
		Exporter: ExporterOTLP,
		Console:  Console{Format: FormatText, Color: ColorAuto},
		Log:      Log{Level: "info", Format: FormatText},
		Ring:     Ring{Size: 8 * MiB, PollInterval: 250 * time.Millisecond},
		Spans: Spans{
			IdleTimeout: 2 * time.Second,
			Detail:      DetailFull,
			Whole:       []string{KeepViolations, KeepDowngrades, KeepWeak, WholeFailed, WholeFirst},
		},
		Policy:   policy.Config{Name: "none", Rules: []policy.Rule{}},
		Privacy:  Privacy{Process: ProcessNone, Keys: Keys{Allow: []string{}, Deny: []string{}}},
		Metrics:  Metrics{MaxSeries: 2000},
		Limits:   Limits{OpenContexts: 65536, TreeSpans: 4096, Processes: 8192, ProcessRate: 2_000_000, OpenBytes: 16 * MiB, QueueBytes: 32 * MiB},
		Sampling: Sampling{Keep: []string{}},
		Shutdown: Shutdown{Timeout: 10 * time.Second},
		Sandbox:  true,
	}
}

// SPDX-License-Identifier: Apache-2.0

package config

import (
	"log/slog"
	"time"

	"github.com/crau-otel/crau-otel/mapping/policy"
)

// The values of exporter.
const (
	ExporterOTLP    = "otlp"
	ExporterConsole = "console"
	ExporterNone    = "none"
)

// The values of console.format and log.format.
const (
	FormatText = "text"
	FormatJSON = "json"
)

// The values of privacy.process.
const (
	ProcessNone = "none"
	ProcessFull = "full"
)

// The values of console.color.
const (
	ColorAuto   = "auto"
	ColorAlways = "always"
	ColorNever  = "never"
)

// Config is the configuration of the agent. Its zero value is not valid: start from [Default].
type Config struct {
	// Libraries are files to attach whether or not Discovery finds them.
	Libraries []string  `yaml:"libraries"`
	Discovery Discovery `yaml:"discovery"`
	Wire      Wire      `yaml:"wire"`
	// Scopes are the scopes of contexts and keys that are traced, such as tls, ssh or pk; all of them if empty.
	Scopes []string `yaml:"scopes"`
	// Services gives names to observed programs; the first match decides. By default a program is named after its
	// executable.
	Services []Service `yaml:"services"`
	// Exporter selects where spans are sent: otlp, console or none.
	Exporter string  `yaml:"exporter"`
	Console  Console `yaml:"console"`
	Log      Log     `yaml:"log"`
	Ring     Ring    `yaml:"ring"`
	Spans    Spans   `yaml:"spans"`
	// Policy decides which spans are violations.
	Policy   policy.Config `yaml:"policy"`
	Privacy  Privacy       `yaml:"privacy"`
	Metrics  Metrics       `yaml:"metrics"`
	Sampling Sampling      `yaml:"sampling"`
	Limits   Limits        `yaml:"limits"`
	Shutdown Shutdown      `yaml:"shutdown"`
	// Sandbox makes the agent give up everything that it needs only at start: the right to write files, execute programs,
	// load BPF programs and so on.
	Sandbox bool `yaml:"sandbox"`
	// User is the user that the agent becomes at start, as name or name:group; empty means no change.
	User string `yaml:"user"`
	// Pprof is the loopback address, such as 127.0.0.1:6060, on which the agent serves profiles of itself; off if
	// empty.
	Pprof string `yaml:"pprof"`
}

// Discovery configures how files with probes are found. Its patterns have the wildcards * (anything but /), **
// (anything) and ? (one character, not /); one without / is compared with the last part only.
type Discovery struct {
	// Enabled is whether to search for files.
	Enabled bool `yaml:"enabled"`
	// Allow lists patterns for paths of files, as their processes see them. If the list is not empty, one pattern must
	// match.
	Allow []string `yaml:"allow"`
	// Deny lists patterns for paths of files that are not attached, even if allowed.
	Deny []string `yaml:"deny"`
	// DenyExecutables lists patterns for paths of programs whose processes are not examined.
	DenyExecutables []string `yaml:"deny_executables"`
	// DenyCgroups lists patterns for cgroup paths whose processes are not examined.
	DenyCgroups []string `yaml:"deny_cgroups"`
	// MaxFiles is how many files may be attached at a time, 1 to 65536.
	MaxFiles int `yaml:"max_files"`
	// MaxFilesPerContainer is how many of these may be first seen in one container or systemd unit, 1 to 65536.
	MaxFilesPerContainer int `yaml:"max_files_per_container"`
	// MaxSites is how many probe sites may be attached at a time, 1 to 16384.
	MaxSites int `yaml:"max_sites"`
	// MaxSitesPerContainer is how many of these may be in files first seen in one container or unit, 1 to 16384.
	MaxSitesPerContainer int `yaml:"max_sites_per_container"`
}

// Wire configures how handshakes are read from the packets that open connections.
type Wire struct {
	// Enabled is whether to read handshakes from packets.
	Enabled bool `yaml:"enabled"`
	// DenyPorts are local and remote ports whose connections are not examined, 1 to 65535 each and at most 256.
	DenyPorts []int `yaml:"deny_ports"`
	// DenyCgroups are cgroups, as paths in the version 2 hierarchy. Their connections, and those of the cgroups below
	// them, are not examined. At most 1024.
	DenyCgroups []string `yaml:"deny_cgroups"`
}

// Service names the programs that match all of its patterns, which [path.Match] defines. An empty pattern matches any.
type Service struct {
	// Name is their service.name.
	Name string `yaml:"name"`
	// Executable is a pattern of the executable's name, without its path.
	Executable string `yaml:"executable"`
	// Unit is a pattern of the systemd unit.
	Unit string `yaml:"unit"`
}

// Console configures the console exporter.
type Console struct {
	// Format is text, for people, or json, one object per line.
	Format string `yaml:"format"`
	// Color is auto (only on a terminal), always or never.
	Color string `yaml:"color"`
}

// Log configures the agent's own log.
type Log struct {
	// Level is the least severe level logged: debug, info, warn or error.
	Level string `yaml:"level"`
	// Format is text or json.
	Format string `yaml:"format"`
}

// SlogLevel returns the level for [slog]; info if l is not valid.
func (l Log) SlogLevel() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return slog.LevelInfo
	}
	return level
}

// Ring configures the buffer between the kernel and the agent.
type Ring struct {
	// Size is a power of two from 64KiB to 1GiB.
	Size ByteSize `yaml:"size"`
	// PollInterval is how long an event may wait in the buffer, 100us to 1s. A buffer that fills is read earlier.
	PollInterval time.Duration `yaml:"poll_interval"`
}

// Spans configures how contexts become spans.
type Spans struct {
	// IdleTimeout is how long a tree may be without events before it ends, 10ms to 1h. It is needed because no probe marks
	// the end.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
	// Detail is full, or handshake to export only the root of each handshake, which summarizes it.
	Detail string `yaml:"detail"`
	// Whole lists the kinds of trees that are exported whole even if Detail is handshake: violations of the policy,
	// downgrades, weak use, failed handshakes, and the first of its kind in an hour.
	Whole []string `yaml:"whole"`
}

// The values of spans.detail.
const (
	DetailFull      = "full"
	DetailHandshake = "handshake"
)

// The values of spans.whole, in addition to those of sampling.keep.
const (
	WholeFailed = "failed"
	WholeFirst  = "first"
)

// Privacy configures what leaves the host.
type Privacy struct {
	// Process is full, to export a process's id, path, owner and command line, or none.
	Process string `yaml:"process"`
	Keys    Keys   `yaml:"keys"`
}

// Keys selects event keys as emitted, such as tls::group, by patterns that [path.Match] defines.
type Keys struct {
	// Allow lists patterns for keys. If it is not empty, other keys are excluded.
	Allow []string `yaml:"allow"`
	// Deny lists patterns for keys that are excluded, even if allowed.
	Deny []string `yaml:"deny"`
}

// Metrics configures what is measured.
type Metrics struct {
	// MaxSeries is the number of series of one instrument, 16 to 1000000.
	MaxSeries int `yaml:"max_series"`
}

// The values of sampling.keep.
const (
	KeepViolations = "violations"
	KeepDowngrades = "downgrades"
	KeepWeak       = "weak"
)

// Sampling overrides decisions of OTEL_TRACES_SAMPLER.
type Sampling struct {
	// Keep lists the kinds of trees that are exported even if the sampler drops them: violations of the policy, downgrades
	// to classical key exchange, weak use.
	Keep []string `yaml:"keep"`
}

// Limits bounds the data that the agent holds. Data over a limit is lost and counted.
type Limits struct {
	// OpenContexts is the number of open contexts, 1 to 16777216.
	OpenContexts int `yaml:"open_contexts"`
	// TreeSpans is the number of spans in one tree, 1 to 1048576.
	TreeSpans int `yaml:"tree_spans"`
	// Processes is the number of processes for which state is kept, 1 to 4194304, which is the kernel's PID_MAX_LIMIT.
	Processes int `yaml:"processes"`
	// ProcessRate is the number of events a second accepted from one process, 1000 to 100000000.
	ProcessRate int `yaml:"process_rate"`
	// OpenBytes is the memory for the keys and values of open contexts, 1MiB to 64GiB.
	OpenBytes ByteSize `yaml:"open_bytes"`
	// QueueBytes is the memory for spans that wait for the receiver, 1MiB to 64GiB.
	QueueBytes ByteSize `yaml:"queue_bytes"`
}

// Shutdown configures the end of a run.
type Shutdown struct {
	// Timeout is the longest time spent on draining and exporting, 100ms to 10m.
	Timeout time.Duration `yaml:"timeout"`
}

// Default returns the configuration if no source sets anything.
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

// SPDX-License-Identifier: Apache-2.0

package config

import "time"

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

// The values of console.color.
const (
	ColorAuto   = "auto"
	ColorAlways = "always"
	ColorNever  = "never"
)

// Config is the configuration of the agent. Its zero value is not valid: start from [Default].
type Config struct {
	// Libraries are the files whose probes are attached.
	Libraries []string `yaml:"libraries"`
	// Exporter is where spans go: otlp, console or none.
	Exporter string   `yaml:"exporter"`
	Console  Console  `yaml:"console"`
	Log      Log      `yaml:"log"`
	Ring     Ring     `yaml:"ring"`
	Spans    Spans    `yaml:"spans"`
	Limits   Limits   `yaml:"limits"`
	Shutdown Shutdown `yaml:"shutdown"`
}

// Console configures the console exporter.
type Console struct {
	// Format is text, for a person, or json, one object a line.
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

// Ring configures the buffer between the kernel and the agent.
type Ring struct {
	// Size is a power of two from 64KiB to 1GiB.
	Size ByteSize `yaml:"size"`
	// PollInterval is how often a busy buffer is read, 100us to 1s.
	PollInterval time.Duration `yaml:"poll_interval"`
}

// Spans configures how contexts become spans.
type Spans struct {
	// IdleTimeout ends a context that has been silent for so long, 10ms to 1h: no probe marks the end.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
}

// Limits bounds what the agent holds. What does not fit is counted as lost.
type Limits struct {
	// OpenContexts is the number of contexts not yet ended, 1 to 16777216.
	OpenContexts int `yaml:"open_contexts"`
	// TreeSpans is the number of spans in one tree, 1 to 1048576.
	TreeSpans int `yaml:"tree_spans"`
	// Processes is the number of processes with state of their own, 1 to 4194304, which is the kernel's PID_MAX_LIMIT.
	Processes int `yaml:"processes"`
	// QueueSpans is the number of ended spans waiting for export, 1 to 16777216.
	QueueSpans int `yaml:"queue_spans"`
}

// Shutdown configures the end of a run.
type Shutdown struct {
	// Timeout is the longest time spent on draining and exporting, 100ms to 10m.
	Timeout time.Duration `yaml:"timeout"`
}

// Default returns the configuration that holds where no source says otherwise.
func Default() Config {
	return Config{
		Libraries: []string{},
		Exporter:  ExporterOTLP,
		Console:   Console{Format: FormatText, Color: ColorAuto},
		Log:       Log{Level: "info", Format: FormatText},
		Ring:      Ring{Size: 8 * MiB, PollInterval: 2 * time.Millisecond},
		Spans:     Spans{IdleTimeout: 2 * time.Second},
		Limits:    Limits{OpenContexts: 65536, TreeSpans: 4096, Processes: 8192, QueueSpans: 65536},
		Shutdown:  Shutdown{Timeout: 10 * time.Second},
	}
}

// SPDX-License-Identifier: Apache-2.0

// Package untraced lists the reasons why a file that has or may have probes is not traced, or only in part. Such a file
// is logged once, listed by crau-otel probes and counted by the metric crau_otel.files.untraced. All three use this
// table, and so does docs/discovery.md.
package untraced

import "slices"

// Reason is the category of causes for which a file is not traced.
type Reason string

// The reasons.
const (
	Unsupported Reason = "unsupported"
	FUSE        Reason = "fuse"
	Unreadable  Reason = "unreadable"
	Limit       Reason = "limit"
	Denied      Reason = "denied"
	Written     Reason = "open_for_writing"
	Copied      Reason = "copied"
	BadNotes    Reason = "bad_notes"
	BadSites    Reason = "bad_sites"
	Refused     Reason = "refused"
)

// Explanation describes a reason.
type Explanation struct {
	Reason  Reason
	Meaning string // a sentence
	Remedy  string // a sentence
}

var all = []Explanation{
	{
		Unsupported, "The file is 32-bit, big-endian or for another machine than this one.",
		"None: only 64-bit x86-64 and arm64 programs are traced.",
	},
	{
		FUSE, "The file is on FUSE, whose server may never answer. Whether it has probes is not known.",
		"Run the program from another file system.",
	},
	{
		Unreadable, "crau-otel may not read the file. Whether it has probes is not known.",
		"Grant CAP_DAC_READ_SEARCH, or let crau-otel's user read the file.",
	},
	{Limit, "A limit of discovery is reached.", "Raise the limit that the log line names."},
	{Denied, "The configuration leaves the file alone: `discovery.deny` and other keys of `discovery`.", "None, if that is what you want."},
	{
		Written, "Somebody has the file open for writing. It is read again until nobody has.",
		"If that lasts, close it: `fuser -v FILE` names the process.",
	},
	{
		Copied, "A program runs a copy of its code in anonymous memory, where a breakpoint kills it.",
		"Turn large pages for code off in that program, or name it under `discovery.deny_executables`.",
	},
	{
		BadNotes, "None of the file's probes can be used.",
		"Rebuild the file; `crau-otel probes FILE` says what is wrong with each.",
	},
	{
		BadSites, "Some of the file's probes cannot be used. The others are traced.",
		"Rebuild the file; `crau-otel probes FILE` says what is wrong with each.",
	},
	{Refused, "The kernel refused to attach.", "The log line has its error; see `crau-otel check`."},
}

// Reasons returns every reason with its explanation, in the order of the documentation.
func Reasons() []Explanation { return slices.Clone(all) }

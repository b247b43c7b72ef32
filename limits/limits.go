// SPDX-License-Identifier: Apache-2.0

package limits

// Limit is the name of a bounded resource, as used in metrics and logs.
type Limit string

// The limits of discovery and attaching.
const (
	Files        Limit = "files"         // attached files
	OwnerFiles   Limit = "owner_files"   // attached files of one owner
	ProcessFiles Limit = "process_files" // attached files that were first seen in one process
	Sites        Limit = "sites"         // attached sites
	OwnerSites   Limit = "owner_sites"   // attached sites of one owner
	ProcessSites Limit = "process_sites" // attached sites in files that were first seen in one process
	Descriptors  Limit = "descriptors"   // file descriptors of the agent for attached files
	Strings      Limit = "strings"       // bytes of the agent's copies of strings from attached files
	Helpers      Limit = "helpers"       // threads that wait for processes and file systems that do not answer
	Unseen       Limit = "unseen"        // programs that ended before discovery examined them
)

// The limits on events, trees and what waits for export.
const (
	Ring         Limit = "ring"          // bytes in the ring buffer between kernel and agent
	Rate         Limit = "rate"          // a process's events per second, and shares of a nearly full ring buffer
	Runs         Limit = "runs"          // hits that are being recorded on one CPU at the same time
	OpenContexts Limit = "open_contexts" // open contexts
	OpenBytes    Limit = "open_bytes"    // bytes of memory for open contexts
	TreeSpans    Limit = "tree_spans"    // spans of one tree
	Processes    Limit = "processes"     // processes for which the agent keeps state
	Connections  Limit = "connections"   // connections whose first TLS or SSH message was not answered yet
	Texts        Limit = "texts"         // length of keys and values, which are cut
	Attributes   Limit = "attributes"    // attributes of one span
	Queue        Limit = "queue"         // spans that wait for export
	Series       Limit = "series"        // series of one instrument
)

// All returns every limit, in the order of docs/limits.md.
func All() []Limit {
	return []Limit{
		Files, OwnerFiles, ProcessFiles, Sites, OwnerSites, ProcessSites, Descriptors, Strings, Helpers, Unseen,
		Ring, Rate, Runs, OpenContexts, OpenBytes, TreeSpans, Processes, Connections, Texts, Attributes, Queue, Series,
	}
}

// Class is the kind of owner that reached a limit.
type Class string

// The classes of owners.
const (
	ClassRoot      Class = "root"
	ClassSystem    Class = "system"
	ClassUser      Class = "user"
	ClassContainer Class = "container"
	ClassUnknown   Class = "unknown" // the loss was counted without an owner
)

// Owner identifies the owner whose share of a limit something counts against.
type Owner struct {
	Name  string
	Class Class
}

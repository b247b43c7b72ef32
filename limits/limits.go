// SPDX-License-Identifier: Apache-2.0

package limits

// Limit names a bounded resource, as metrics and logs do.
type Limit string

// The limits of discovery and attaching.
const (
	Files        Limit = "files"         // attached at a time
	OwnerFiles   Limit = "owner_files"   // of these, from one owner
	ProcessFiles Limit = "process_files" // of these, first seen in one process
	Sites        Limit = "sites"         // attached at a time
	OwnerSites   Limit = "owner_sites"   // of these, from one owner
	ProcessSites Limit = "process_sites" // of these, in files first seen in one process
	Descriptors  Limit = "descriptors"   // of the agent, for attached files
	Strings      Limit = "strings"       // bytes of copies of files' strings
	Helpers      Limit = "helpers"       // threads that wait for processes and file systems that do not answer
	Unseen       Limit = "unseen"        // programs that ended before discovery could look at them
)

// The limits on events, trees and what waits for export.
const (
	Ring         Limit = "ring"          // bytes between kernel and agent
	Rate         Limit = "rate"          // events per second of a process, or its share of a ring that fills up
	Runs         Limit = "runs"          // hits recorded at a time on one CPU
	OpenContexts Limit = "open_contexts" // open contexts
	OpenBytes    Limit = "open_bytes"    // bytes of their keys and values
	TreeSpans    Limit = "tree_spans"    // spans of one tree
	Processes    Limit = "processes"     // processes with state
	Connections  Limit = "connections"   // connections that wait for an answer to their hello
	Texts        Limit = "texts"         // keys and values that are longer than a record holds
	Attributes   Limit = "attributes"    // attributes of one span
	Queue        Limit = "queue"         // spans that wait for the receiver
	Series       Limit = "series"        // series of one instrument
)

// All returns every limit, in the order of docs/limits.md.
func All() []Limit {
	return []Limit{
		Files, OwnerFiles, ProcessFiles, Sites, OwnerSites, ProcessSites, Descriptors, Strings, Helpers, Unseen,
		Ring, Rate, Runs, OpenContexts, OpenBytes, TreeSpans, Processes, Connections, Texts, Attributes, Queue, Series,
	}
}

// Class is what kind of owner reached a limit.
type Class string

// The classes of owners.
const (
	ClassRoot      Class = "root"
	ClassSystem    Class = "system"
	ClassUser      Class = "user"
	ClassContainer Class = "container"
	ClassUnknown   Class = "unknown" // the kernel counts without knowing owners
)

// Owner identifies the owner that something counts against.
type Owner struct {
	Name  string
	Class Class
}

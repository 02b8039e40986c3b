// Package recording keeps what it takes to run an engine again: the topics' records as an event log in files, and beside it,
// in a folder .nudge, the journal, the checkpoint that it goes on from, and what the topics were.
//
// There is only one type: Recording, made by Record and opened by Open. A folder is
//
//	dir/<topic>/<partition>/…       an event log of package files
//	dir/.nudge/recording.json       the pipeline and its topics, who was erased
//	dir/.nudge/journal/             segments of the journal, as they were; missing where it was left out
//	dir/.nudge/start/               a backup: the state that the journal goes on from; missing where that is the empty one
//
// Invariants:
//
//  1. The log reaches at least as far as the journal: the journal is copied first.
//  2. A folder that holds an event log alone is a recording, too: one without a journal.
package recording

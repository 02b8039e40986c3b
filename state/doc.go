// Package state is what a node remembers on disk: one Badger store of rows, written in whole checkpoints, and one
// append-only journal of epochs. It is the only importer of Badger.
//
// There are only four types: Store, Checkpoint, Journal and JournalHeader. A state folder holds
//
//	nudge.json   which app it belongs to, its format and the build that made it
//	LOCK         held with flock while a process has the folder open
//	checkpoint   the last complete version and the version up to which older rows may have been dropped
//	db/          Badger, managed mode, one version per checkpoint
//	journal/     the journal's segments
//
// Invariants:
//
//  1. A checkpoint is visible whole or not at all: its rows are flushed and synced, then its marker row is written and
//     synced in a write of its own, and only then do reads move to its version.
//  2. Reads see the last complete version, never a newer one, from any number of goroutines.
//  3. Rows left behind by a checkpoint that never completed are never seen: the next checkpoint to complete gives every
//     one of their keys the value, or the absence, of the last complete version at its own, higher version.
//  4. Badger may drop old rows only up to the complete version before the last, and never one that a reader still
//     reads: a last checkpoint torn by a power cut leaves the one before it intact. Falling further back is an error.
//  5. Every value lies in the LSM tree; the value log stays empty.
//  6. Free disk is looked at before every batch of rows. When it runs short a checkpoint ends with ErrNoSpace before Badger
//     is touched, for Badger writes through memory maps and a full disk would kill the process.
//  7. A journal's epochs follow each other without a gap, and the hash of an entry is a function of all before it.
package state

// Package state is what a node remembers on disk: one Badger store of rows, written in whole checkpoints, and one
// append-only journal of epochs. It is the only importer of Badger.
//
// There are only three types, Store, Checkpoint and Journal; the rest are their options and what they report. A state
// folder holds
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
//  6. Free disk is looked at before every batch of rows and every entry of the journal. When it runs short they end with
//     ErrNoSpace before anything is written, for Badger writes through memory maps and a full disk would kill the process.
//  7. A journal's epochs follow each other without a gap, and the hash of an entry is a function of all before it.
//  8. What is torn at the journal's end is cut off if nothing of it was known to be durable; any other damage is an error.
//
// What is not covered: another program that takes the last of the disk between two looks at it. The process then dies as
// in a power cut, and Open refuses with ErrNoSpace until there is room.
//
// Measured with the benchmarks beside this file (go test -bench . ./state) on two cores shared with eight other busy
// processes, which about doubles the CPU times:
//
//	checkpoint of 100,000 rows of 700 bytes, its share of compactions included   1.7 s, 1.4-1.8 s of CPU on all threads
//	  of which in Put, the caller's goroutine                                    0.25 µs a row
//	Get of a row written three times / of one of 500,000 written once            11 µs / 13 µs of CPU
//	Get of a row that is not there                                               8 µs of CPU
//	scan, per row                                                                2-3 µs
//	journal: append of 4 KiB / append and sync                                   7 µs / 0.5 ms
package state

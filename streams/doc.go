// Package streams is the vocabulary of nudge: what comes in (Record, Event), what goes out (Decision, DeadLetter,
// Message) and where it stands (Position). It imports nothing of ours; the drivers in its subfolders speak it.
//
// Invariants:
//
//  1. An Event was valid when Decode returned it; nobody checks it again.
//  2. Money is int64 millionths, time is Unix milliseconds in UTC.
//  3. A Decision is written by AppendJSON to the same bytes on every machine.
package streams

// Package latency measures how long decisions take: from the append of the record that caused one to its arrival at a
// subscriber.
//
// There are only two types: Histogram counts durations, Appends learns when records were appended by reading along.
//
// Invariants:
//
//  1. A quantile of a Histogram is at most 1/64 above the true one, and never below it.
//  2. What Appends remembers is bounded: a decision on a record that it has forgotten, or never saw, is counted as missed,
//     not as fast.
package latency

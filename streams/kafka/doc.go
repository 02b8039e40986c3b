// Package kafka reads and writes Kafka partitions. There are only three types: Client, Fetcher and Producer.
//
// Invariants:
//
//  1. No type of kafka-go leaves the package.
//  2. A Fetcher never jumps: it returns every committed record from its offset on, in order, or an error that says what is gone.
//  3. Records of aborted transactions, and markers, are never returned; Batch.Next passes over them.
//  4. What time may cure is waited out, and said (Config.Waiting, Stats.Waiting); what it can't is an error at once, with the cure.
package kafka

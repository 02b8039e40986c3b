// Package feed writes what happens in a simulated shop to topics: to Kafka's, in step with a clock, or to those of an event
// log in files.
//
// There are only two types: a Feed moves the world and shows it decisions, a Sink takes its records.
//
// Invariants:
//
//  1. Records of one key go to the partition that Kafka's clients choose for it, whatever the sink.
//  2. A Feed only reads the clock to know how far the world may go: which records come depends on the world alone, and on
//     the decisions that it was shown.
package feed

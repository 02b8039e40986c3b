// Command nudge decides in real time what a shop shows and offers to its customers: events in on Kafka, decisions out on NATS.
//
// There is one file per subcommand. Nothing is decided here: a command reads flags, opens what it needs and hands over.
// There are only two types that the commands share: cli, the process they run in, and place, where a pipeline runs.
//
// Invariants:
//
//  1. What a command was asked for goes to standard output; everything else is talk and goes to standard error.
//  2. Exit codes are 0, 1 failed, 2 usage, 3 invalid config or data.
//  3. The first interrupt ends a command cleanly, the second at once.
package main

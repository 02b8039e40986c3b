// Package engine folds a journal into state and decisions. It names no operator, no model and no broker: what is made of
// events is a Program's business, where they come from a node's (engine/node).
//
// There are only five types: Engine, Program, Turn, Epoch and Entry. An Epoch is an Entry of the journal and the records
// that it refers to; Engine.Fold takes one epoch after the other and gives an Output each; a Turn is one event or timer
// in the hands of the Program.
//
// Invariants:
//
//  1. The engine is a function of its epochs: it has no clock, no goroutine, no I/O but reads of the store. Config.Parallel
//     may run shards side by side; one shard is folded by one goroutine, and shards share nothing that changes.
//  2. A shard folds, in this order: messages of other shards; its records, merged by (append time, input, offset); requests; ticks.
//     Timers fire between records, in the order (time, key, name), when the watermark passes them.
//  3. What costs money is decided after all shards have folded, in (shard, position, ordinal) order; what is learned, after
//     that. Tables are frozen while shards fold.
//  4. A checkpoint holds the state as it was between two epochs, however long its rows take to be written: whoever is about
//     to change a row that is still to be written encodes it first.
//  5. What is in the cache, how many workers fold and how large fetches are changes no output.
package engine

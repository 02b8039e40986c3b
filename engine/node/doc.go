// Package node runs an engine live: it fetches, cuts epochs, journals them, folds, publishes, checkpoints and recovers.
//
// There are only three types to know: Node, its Config, and the outbox, which publishes. One goroutine, the sequencer (run.go,
// cut.go), owns the engine; one fetcher for each partition decodes (queue.go); one goroutine syncs the journal; one
// publishes and keeps the marker (publish.go); one completes a checkpoint (checkpoint.go). Whoever asks for a decision waits in Decide (decide.go).
//
// Invariants:
//
//  1. An epoch's entry is in the journal before it is folded, and durable before any message of the epoch is sent.
//  2. A checkpoint completes only when a marker says that all up to its epoch is published: marker >= checkpoint, always.
//  3. Nothing is sent again on the hope that the server remembers it: after any doubt the stream is read from the floor of
//     the first epoch in doubt, and only what it lacks is sent. The same id with other bytes is an error. A start journals nothing new before
//     all that stream and result streams hold was found to be of the journal's epochs.
//  4. Whoever writes the marker owns the app. A node whose last marker is older than half its lease writes one before it
//     sends anything.
//  5. Everything that waits is bounded: fetches ahead of the fold, messages ahead of the acknowledgements, epochs between.
package node

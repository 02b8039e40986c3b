// Package sandbox runs a pipeline's engine over events that are handed in one by one, without brokers: what nudge try and nudge test
// stand on. It is the engine of a node; only the source and the sink are others.
//
// There is only one type that matters: Sandbox. Every event is an epoch of its own and arrives when it happened, or, if it lies
// before one that has arrived, with that one. Nothing is stale, and time passes by events and by Advance only.
package sandbox

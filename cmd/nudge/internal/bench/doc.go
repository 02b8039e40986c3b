// Package bench is what a benchmark compares an engine with: a PassThrough has the same way in and the same way out, and
// nothing between.
//
// Invariants:
//
//  1. It uses the fetchers and the publisher that a node uses, as a node does: a fetcher for each partition, one sender.
//  2. Its messages are as many and as large as a pipeline's decisions are, about: every so-and-so-many-th record makes one.
package bench

// Package suite runs tests of a pipeline: YAML files beside it that say which events come, and what must follow. nudge test is made of it.
//
// File is a test file, Load reads it, Run runs its cases, each in a sandbox of its own, and lists the Failures. deploy/TESTING.md describes
// the format for those who write such files.
//
// Invariants:
//
//  1. A case is a function of the file and the pipeline: times are spelled in it, none is the clock's.
//  2. A failure names the line that expected something else, what it wanted, and what was there.
package suite

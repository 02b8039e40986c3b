// Package enginetest is what tests of engines and programs share. There are only two things: Diary, a Program so small that
// what the engine does to it can be written down by hand, and CheckMerge, the law that every program's Merge keeps.
package enginetest

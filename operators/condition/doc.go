// Package condition compiles the conditions of a pipeline, such as
//
//	user.orders_90d >= 2 and user.idle_days > 14 and not trait.staff
//
// The grammar is that of expr-lang/expr, of which the parser is used. What may be named and what types names have is the
// caller's Names; everything is type-checked when it is compiled, with the place of the fault. A condition is then a tree of
// Go functions over the numbers, texts and truths of a Vars: it sees no clock, allocates nothing and cannot fail.
//
// There are only four types: Condition, Names, Vars and Kind.
//
// Invariants:
//
//  1. A number that is not known (the mean of nothing, a trait nobody set) is not a number: every comparison with it is false,
//     and "known(x)" says so.
//  2. A trait or property is a text that is read as what stands beside it: a number beside a number, a truth in the place of one.
//  3. Products and sums are rounded one by one, so a condition says the same on every machine.
package condition

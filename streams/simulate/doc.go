// Package simulate is a shop that does not exist: a seeded world of shoppers and items that writes what happens in it
// as events of version 1, knows the truth behind them, and may see decisions and respond to them.
//
// There are only four types: Shop is the configuration, World the shop in motion, Record what it writes, Beliefs what who
// knows its laws can conclude from that.
//
// How it decides: a shopper has latent tastes over categories and styles, a price band, a need rhythm and a patience.
// Every choice (which category, which item of a list, whether to add, whether to pay, whether to come back) is the
// largest of some random utilities, u = taste·style + quality - sensitivity·(price-band)² + Gumbel noise. Nothing in
// it is a co-occurrence, a factorisation or any other thing that a learner might assume, but for the logit itself. In a world of another Choice
// shoppers take the first item that is good enough: see Satisficing.
//
// Invariants:
//
//  1. The same Shop gives the same records, byte for byte, for one build on one kind of CPU. There is no clock inside:
//     the caller says up to which time it wants to see the world.
//  2. Records come in the order of Record.TimeMS, the time at which they reach the broker. Event times lie behind it
//     only where the noise says so (OutOfOrder, Late).
//  3. Every person draws from a random stream of their own: what one of them does, or is shown, changes the others only
//     through the stock they share. Therefore two runs that differ in their decisions can be compared shopper by shopper.
//  4. A potential outcome in the truth is what would really have happened: it is drawn before anybody acts on it, with
//     the same random numbers, and the world keeps to it.
//  5. Memory is bounded by Shoppers, Items and the rate of the crowds; a slot of a shopper who left long ago is used again.
//  6. Records that the noise breaks are extra: the unbroken one is always written, too.
//
// A World is not safe for use by several goroutines at once.
package simulate

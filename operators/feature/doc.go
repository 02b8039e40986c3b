// Package feature computes the features that a pipeline declares: aggregates over what one entity did within windows of event time.
// Nothing in it depends on what the entity is; pipelines declare features of customers, of their sessions and categories, of items, and of all together.
//
//	user.views_1h:   {count: product.viewed, window: 1h}
//	user.spend_90d:  {sum: order.completed.value, window: 90d}
//	user_category.views: {count: product.viewed, window: 7d}
//	session.items:   {sequence: product.viewed.item, k: 5}
//	item.buyers_7d:  {distinct: order.completed.user, window: 7d}
//	global.visits:   {count: any, window: {tumbling: 1h}}
//
// Events are not kept. An entity has a Row: for every resolution that its windows need (10 s, 1 min, 5 min, 1 h, 1 day, a calendar day
// or week, a session, its lifetime) one ring of tiles, and in each tile one mergeable partial aggregate for every column. Features
// that need the same thing share its column. A sliding window is the merge of the tiles it covers; its left edge moves in steps of
// its tile, so 90 days cost an event no more than 5 minutes.
//
// There are only five types: Definition is what a pipeline says, Set what New makes of the definitions of one entity, Row what is
// remembered of one such entity, Value what a feature says at a time, Return what of an order is sent back.
//
// Invariants:
//
//  1. A Row is a function of the set of events observed, whatever their order, as far as their tiles are kept, but for one: what takes an order
//     back must come after it, while it is remembered. Counts, sums, minima and maxima are int64 (fields in millionths) and exact; sums saturate.
//  2. Merge is associative and commutative, and the empty Row is its identity.
//  3. A Row is bounded: a tile goes when no window and no late event can reach it any more, by event time.
//  4. The encoding is canonical. It names its layout, so that a changed pipeline keeps what both have and starts the rest empty.
//  5. A window that closes is put out once. An event that comes after that is late: it still counts in tiles that are kept
//     for other windows, and is counted as late.
//  6. An order that is taken back leaves everything as if it had not been, a part of one its value, pieces and amount. It is known of an entity's last 8 orders:
//     what can't be subtracted lies with them, and not in the tiles (held.go). Rows that everybody shares know of none and are told (TakeBackOf):
//     there counts and sums alone are undone.
//
// # Measured
//
// By go test ./operators/feature -bench Observe, on a shared x86-64 core, for an event of one customer; nothing is allocated.
//
//	6 counts, sum, minimum, maximum, mean in 1 min, 1 h and 1 day, put out when they close   256 ns
//	one window of 5 min / of 90 days                                                          18 / 11 ns
//	5 features / 60 features over 8 windows                                                   40 / 86 ns
package feature

// Package operators holds the words that a pipeline is written in, and what they mean: the deciders that turn events and
// models into recommendations, coupons and churn alerts. Program implements engine.Program.
//
// Config is what a pipeline says; New compiles it. A Program folds events into a Customer, gives the deciders their say,
// and teaches the models at the end of an epoch.
//
//	customer.go, customer_merge.go, customer_codec.go  what is remembered of a customer; its merging and encoding
//	catalog.go, budget.go           shared tables: items, money
//	moment.go, audience.go, nightly.go          when a decider is considered, and for whom
//	facts.go, faults.go             what conditions may name; what is wrong with them
//	features.go                     the features that a pipeline declares, and the layouts of their rows
//	parts.go                        features per category and of the session
//	receipts.go                     what orders counted for in features of items and of all together, so that it can be taken back
//	cancelled.go                    cancellations that came without their order
//	shared.go, results.go           features of items and of all together; windows that are put out when they close
//	fold.go, answer.go              an event's way through state, deciders and lessons; that of a request for a decision
//	recommend.go coupon.go churn.go the deciders
//	sources.go, ranking.go, slate.go, impressions.go   a list: where candidates come from, what stands first, what is shown, what became of it
//	terms.go, category.go, pairs.go   what describes an item; its categories; what goes with what, and is bought again
//	choices.go                      what customers choose of what they see
//	next.go, request.go             the model of the next item in the stream; a list on request
//	halflives.go                    what decayed models were learned under
//	ignore.go                       traffic that is kept out
//	since.go, standard.go           since when features have been kept; what they are standardised by
//	audit.go, past.go               logged features held against the raw events
//	inspect.go, plan.go, usage.go   what is remembered, for people; what a changed pipeline keeps of it; what one asks for
//
// Invariants:
//
//  1. Deciding reads models and shared tables and never changes them: what an event teaches goes to the scratch, what costs
//     money is proposed.
//  2. A decision that is withheld is published with its reason. Only "nothing to show yet" is silent.
//  3. A Customer is bounded by Limits. Each of its lists is a set of which the latest are kept, so merging is associative.
//  4. Nothing is iterated in map order; everything of a pipeline is taken by name.
//  5. An item or customer is never kept by a string that aliases an event.
package operators

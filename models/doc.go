// Package models holds the learners and the pure maths that decisions are scored with. They see no time but the one they are
// given, no state but their own, no log and no file.
//
// Invariants:
//
//  1. Predicting (Score, Top, Left, …) leaves a model unchanged, so that shards may score side by side while nothing learns.
//  2. The same examples in the same order leave the same bytes, on every machine: products are rounded on their own
//     (float64(x*y) + z), exp and log are our own.
//  3. Every model is bounded and every row encodes to canonical bytes that load back to the same row.
//  4. What is learned is a sum of contributions: Add takes in what another has learned. CoOccurrence alone forgets the
//     lightest of a full row.
//
// # Measured
//
// By the tests named …Eval, on data sets and splits that the peers were run on, with the defaults; learning sees the last 5
// distinct items before each, scoring 6.
//
//	rsc15_sample, last item left out (B)   HR@20 / MRR@20    .421 / .185
//	  co-occurrence counts with self pairs .433 / .189       V-SkNN .433 / .186   SASRec .434 / .186   ALS .415 / .170
//	beauty, full ranking                   HR@10 / NDCG@10   .0543 / .0347, with the validation item learned .0612 / .0394
//	  ItemKNN .0330 / .0199   ALS .0362 / .0189   SASRec with full cross-entropy .0533 / .0327
//	  the same counts over the last 20 items: .0567 / .0357, at four times the work
//	cdnow, 39 weeks of silence             AUC of Silent .773, of Left .689
//	  BG/NBD fitted by maximum likelihood .7725 by expected purchases, .316 by P(alive); Pareto/NBD .7787 and .726
//	online_retail, 90 days of silence      AUC of Silent .742, of Left .717
//	  recency .684   logistic regression on 15 features .747   LightGBM .746
package models

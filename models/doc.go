// Package models holds the learners and the pure maths that decisions are scored with. They see no time but the one they are
// given, no state but their own, no log and no file.
//
// Invariants:
//
//  1. Predicting (Score, Top, Left, …) leaves a model unchanged, so that shards may score side by side while nothing learns.
//  2. The same examples in the same order leave the same bytes, on every machine: products are rounded on their own
//     (float64(x*y) + z), exp and log are our own.
//  3. Every model is bounded and every row encodes to canonical bytes that load back to the same row.
//  4. Sketches (HLL…, Quantiles…, TopK…, Decayed…) live in their bytes, which are the same in whatever order values came and were merged.
//  5. What is learned is a sum of contributions: Add takes in what another has learned. CoOccurrence alone forgets the
//     lightest of a full row.
//
// # Measured
//
// By the tests named …Eval and TestRhythmOn…, on data sets and splits that the peers were run on, with the defaults; learning sees
// the last 3 distinct items before each, scoring 6. An item never speaks for itself.
//
//	rsc15_sample, last item left out (B)   HR@20 / MRR@20    .423 / .187
//	  co-occurrence counts with self pairs .433 / .189       V-SkNN .433 / .186   SASRec .434 / .186   ALS .415 / .170
//	beauty, full ranking                   HR@10 / NDCG@10   .0539 / .0345, with the validation item learned .0603 / .0389
//	  ItemKNN .0330 / .0199   ALS .0362 / .0189   SASRec with full cross-entropy .0533 / .0327
//	  5 items before each: .0543 / .0347; the same counts over 20 items in unbounded rows: .0567 / .0357
//	cdnow, 39 weeks of silence             AUC of Left .740, of Silent .758
//	  P(alive): BG/NBD .316, MBG/NBD .687, Pareto/NBD .726; expected purchases: BG/NBD .7725, Pareto/NBD .7787
//	online_retail, 90 days of silence      AUC of Left .727, of Silent .734
//	  recency .684   logistic regression on 15 features .747   LightGBM .746
package models

// Package models holds the learners and the pure maths that decisions are scored with. They see no time but the one they are
// given, no state but their own, no log and no file.
//
// Invariants:
//
//  1. Predicting (Score, Top, Left, …) leaves a model unchanged, so that shards may score side by side while nothing learns.
//  2. The same examples in the same order leave the same bytes, on every machine: products are rounded on their own
//     (float64(x*y) + z), exp and log are our own. The matrix products of Sequence are gonum's: the same on machines of one kind of CPU.
//  3. Every model is bounded and every row encodes to canonical bytes that load back to the same row.
//  4. Sketches (HLL…, Quantiles…, TopK…, Decayed…) live in their bytes, which are the same in whatever order values came and were merged.
//  5. What one customer teaches on a day is bounded (Daily), in front of every model.
//  6. What is learned is a sum of contributions: Add takes in what another has learned. CoOccurrence alone forgets the
//     lightest of a full row. What Neighbours, Ranker, Clicks, Choices, Sequence and NextItem learn depends on what they know, so these are no sums.
//
// # Measured
//
// What recommenders reach, and the commands, stands in the README; the models are tuned on the validation parts (rsc15: train_tr to train_valid;
// beauty: each customer's last item but one), every run on a test part stands in evaluations.md. What did not help, on validation parts:
//
//	another half-life, history or gap of Neighbours or CoOccurrence   ± .002 of HR: the ranker makes up for it
//	the item's popularity crossed with the sources' scores            ± .001
//	dropout of half, 7 replays instead of 3, 96 dimensions            Sequence gets worse: it has 50,000 examples there
//	scores without cosine (Sequence as products)                      HR@20 .614 instead of .649
//	a step of Sequence for 64 examples, not 32                        HR@20 .614 instead of .653, of the blend .672 instead of .681
//	1,024 scored items instead of all 2,873                           HR@20 .644, of the blend .678, at half the CPU
//	AdaGrad instead of Adam                                           HR@20 .607 of .614
//	what followed the last item at once, as a source of its own       HR@20 the same, beauty lower by .0004
//	the ranker learning of fewer of the first items (a third)         MRR@20 .372 instead of .376
//	  (one in four at twice the rate, as it learns now: .3743 of .3767, at a third of the CPU)
//	manners of Neighbours tried every 64 items after 16,384           HR@20 .6192 instead of .6236, alone
//	half of the chance places for what is hardly known                no more places for arrivals
//	neighbours' neighbours for items that have few                    ± .0003 of beauty's .0663
//	a neighbour heard only from the latest item that it shares        HR@20 .375 instead of .394 (B)
//	a moving average of Sequence's weights for its scores             beauty, Sequence alone: .0483 instead of .0491, a third of it .0185 instead of .0190
//	the log of an item's count in Sequence's scores                   HR@20 .644 instead of .648; a third of beauty .0193 instead of .0190
//	a Sharpness of 12, not 8.5                                        a third of beauty, Sequence alone: .0172 instead of .0190
//	new items near those they came with, in a small catalogue too     HR@20 of the blend .678 instead of .681
//	1,024 items scored of a large catalogue, not 2,048                beauty .0685 instead of .0690, at 0.7 of the CPU
//	twice the rate of the leanings of Choices, of its vectors         simulated shops, orders an item shown: .2298, .2356 of .2356
//	decays of Choices a tenth as strong                               .2143 of .2295, alone
//	its worths as a part of the base of Clicks                        .2208 of .2356
//	a ranker whose pace forgets how far it has come                   beauty without Sequence .0664 of .0664
//
// By the tests named TestRhythmOn…, on data sets and splits that the peers were run on:
//
//	cdnow, 39 weeks of silence             AUC of Left .740, of Silent .758
//	  P(alive): BG/NBD .316, MBG/NBD .687, Pareto/NBD .726; expected purchases: BG/NBD .7725, Pareto/NBD .7787
//	online_retail, 90 days of silence      AUC of Left .727, of Silent .734
//	  recency .684   logistic regression on 15 features .747   LightGBM .746
package models

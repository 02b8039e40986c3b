// Package kafka reads and writes Kafka partitions. There are only three types: Client speaks to a cluster, Fetcher reads one partition, and
// Producer writes one topic.
//
// Invariants:
//
//  1. No type of kafka-go leaves the package.
//  2. A Fetcher never jumps: it returns every committed record from its offset on, in order, or an error that says what is gone.
//  3. Records of aborted transactions and markers are never returned; Batch.Next passes over them, and over gaps that compaction left.
//  4. What time may cure is waited out, and said (Config.Waiting, Client.Waiting, Stats.Waiting); what it can't is an error at once, with
//     the cure. No call waits longer than its context.
//  5. The records of a batch alias buffers that belong to that batch alone: they stay valid while they are referenced, and keep a whole fetch
//     (Config.MaxBytes) in memory as long.
//  6. A topic is the incarnation that was first seen: fetches name its id, so one that was created anew is an error and not a continuation.
//  7. With AcksAll a Producer stores each record once and in order, whatever connections are lost in between; unless the broker itself loses
//     what it knew of the producer.
//
// How it is made. kafka-go does the encoding of everything that is rare (greeting, login, topics, offsets, groups) over connections
// that this package opens. It encodes the three requests that matter itself: Fetch, because reading a record costs (400,000 records of
// 230 bytes from Apache Kafka 4.1 on 2 shared cores, BenchmarkRealFetch)
//
//	this Fetcher, with checksum and hash     0.31 µs of CPU
//	kafka-go Client.Fetch, key and value     0.80 µs
//	kafka-go Reader                          1.26 µs
//	(gzip 0.91, snappy 0.81, lz4 0.74, zstd 0.69 µs; producing 0.61 µs at 300,000/s into one partition)
//
// and because kafka-go's other ways lose keys or append times, or return aborted records, or jump when an offset is gone; Metadata, for
// topic ids; Produce, for idempotence. Brokers must speak Fetch v13: Apache Kafka 3.1 or later.
//
// What is not obvious:
//
//   - Batch.End is the last stable offset: an open transaction holds everything behind it back. A producer that died in one is aborted
//     by the broker after transaction.timeout.ms.
//   - AppendMS is the broker's only in topics with LogAppendTime (TopicInfo.LogAppendTime); all records of a batch then share one time.
//   - A connection that stalls is given up after Config.Patience; brokers that say there are records and send none, after 20 empty answers.
//   - A broker that hangs up during the login may have refused it without a word, or be going down: it is waited for, with a hint.
package kafka

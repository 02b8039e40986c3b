// Package embedded runs the two brokers that nudge needs within its own process, on real ports of 127.0.0.1 and with their data on
// disk: for the demo, the tests, and anyone who wants to look before installing anything. There are only two types: Kafka and NATS.
//
// Invariants:
//
//  1. A broker that is started in a folder where one ran before continues with its data, also after a kill -9.
//  2. Nothing of the brokers' own types leaves the package: clients connect to Addr and URL like to any other broker.
//
// Limits of the embedded Kafka (franz-go's kfake) that matter:
//
//   - Nothing is fsynced until a segment is full or the broker is closed: a killed process loses nothing, a power cut may. Apache Kafka's
//     default is the same, but it has replicas.
//   - kfake knows message.timestamp.type and ignores it. StartKafka stamps records itself as they arrive, in topics that say LogAppendTime, by
//     rewriting their times; the batch attribute that says so stays unset, so a client sees the broker's time as if the producer had set it.
//   - One broker, one goroutine for all requests; every batch has an entry of an index in memory (some 100 bytes): feed it in batches.
//   - Long polls, transactions, idempotent producers, groups, retention and compaction behave like the real ones. Compaction moves the log's
//     start to the first record that is left, where Apache Kafka leaves it at 0.
//   - A record is refused beyond the topic's max.message.bytes (1 MiB), as usual.
package embedded

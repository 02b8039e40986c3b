// Package files keeps logs and decisions in files: event logs as zstd JSON lines with a folder per topic and partition,
// offsets, times, keys and headers kept, so that a log read back is the log that was recorded, byte for byte and hash for hash.
//
// There are only four types: Writer records one partition, Log opens a recorded folder, Fetcher reads one partition of it,
// DecisionWriter writes decisions.
//
// A log is a folder:
//
//	dir/<topic>/<partition>/<first offset, 20 digits>.jsonl.zst
//
// Each line is one record, its fields in this order and without spaces, those that do not apply left out:
//
//	{"o":81273,"t":1767571200000,"k":"u-42","h":[["traceparent","MDAt"]],"v":{"id":"01J9Z7K3QW","type":"page.viewed"}}
//
// o is the offset and t the append time. k is the key as a JSON string, or k64 in base64 where it is no UTF-8; without
// either it is null. h holds the headers: key and base64 of the value (null if it is null), and as a third member the
// base64 of a key that is no UTF-8. v is the value as it came if it is a JSON object in one line of UTF-8, else v64 holds
// it in base64; without either it is null. `zstdcat FILE | jq .v` shows the events.
//
// Invariants:
//
//  1. What Writer wrote, Fetcher returns: any bytes, null or not, and gaps between offsets.
//  2. A file that bears its name is whole: it is written as .part, synced, and renamed. It ends in a skippable frame that
//     says how many records it holds and which offset follows; one that lacks it, or holds anything else, is refused with
//     its name, line and the cure.
//  3. The files of a partition follow each other without a gap: the next one's first offset is the one that follows.
//  4. What a Fetcher returns belongs to the batch alone and stays valid while it is referenced.
package files

// Package streams is the vocabulary of nudge: what comes in (Record, Event), what goes out (Decision, DeadLetter,
// Message) and where it stands (Position). It imports nothing of ours; the drivers in its subfolders speak it.
//
// There are only five types to know. A Record is what a log holds. A Decoder makes an Event of it, or a Fault, from which
// NewDeadLetter makes a DeadLetter. A Decision is what the engine answers with. The rest is their parts.
//
// Invariants:
//
//  1. An Event was valid when Decode returned it; nobody checks it again. Only what needs the record's append time is left
//     to CheckTime, and the members of a catalogue item to Event.CatalogItem.
//  2. Money is int64 millionths, read from the decimal text without a float between; time is Unix milliseconds in UTC.
//  3. A Decision is written by AppendJSON to the same bytes on every machine, and ParseDecision reads them back.
//  4. Ids and subjects are functions of their parts, and different parts give different ones. A customer's token can be
//     read back.
//  5. Every reason code has an English and a Chinese sentence.
//
// A record's way: record.go (hash), decode.go (top level), decode_fields.go and decode_objects.go (values; the rules of the
// type), scan.go, money.go and clock.go (text of JSON, prices, times), currency.go (money of other
// currencies), rewrite.go segment.go ga4.go cloudevents.go (other formats), schema.go (fields, limits, what each type needs),
// json_schema.go. A decision's way: decision_json.go, encode.go, subject.go, words.go, explain.go.
package streams

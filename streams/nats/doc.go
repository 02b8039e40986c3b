// Package nats is nudge's way to NATS: it publishes decisions, dead letters and advisories to one JetStream stream,
// keeps the marker of the app, reads both back for recovery, and answers requests. No type of the client library
// leaves it.
//
// There are only four types: a Conn, the Stream of an app on it, the Stream's Publisher, and a Service.
//
// Invariants:
//
//  1. The stream is a chain. Every message says which sequence it expects to be the last one before it, so the server
//     takes it only if the stream has grown by this publisher's messages alone. Neither the bytes of a dead connection
//     that arrive late, nor a node that slept, nor a second node can put a message in between; and a server that
//     lost what it had acknowledged is noticed at the next message.
//  2. Because of the chain an acknowledgement of message n says that all before n are stored. Only the last message of
//     every chunk asks for one, which halves the cost of publishing.
//  3. Nothing is sent again on the hope that the de-duplication window remembers it. When an acknowledgement is
//     refused or stays away, or the connection is lost, the publisher fails with ErrUnsure and takes nothing until the
//     stream has been read (Stream.Read) and Reset called.
//  4. Nothing is buffered across a reconnect: what was sent into a lost connection is unsure, never sent again by itself.
//  5. The marker lives in a small stream of its own, so that no limit of the decision stream can remove it. It is
//     written with the expected last sequence of its subject: of two writers one gets ErrFenced.
//  6. An existing stream is only changed where nothing can be lost by it (a limit raised, a feature switched on); every
//     other difference is an error that names the cure.
//
// Reading from replicas: a direct get may be answered by a replica that lags. Stream.Read asks the leader where the
// stream ends and does not return before the replica has shown that message.
package nats

// Package nats is nudge's way to NATS: it publishes decisions, dead letters and advisories to one JetStream stream,
// keeps the marker of the app, reads both back for recovery, and answers requests. No type of the client library
// leaves it.
//
// There are only four types: a Conn, the Stream of an app on it, the Stream's Publisher, and a Service.
//
// Invariants:
//
//  1. The stream is a chain. The first message after a start or a failure says which sequence it expects to be the last
//     one, every other which id (on a replicated stream: which sequence), and the server refuses it otherwise. Neither
//     the bytes of a dead connection that arrive late, nor a node that slept, nor a second node, nor somebody's message
//     in between goes unnoticed, and nothing is stored twice; a server that lost what it had acknowledged is
//     noticed at the next message.
//  2. Because each message names the one before it, an acknowledgement of message n says that all before n are stored. Only
//     the last message of a chunk asks for one. A chain of sequences would not do: when a foreign message takes the
//     place of one of ours, which is refused, the next finds the sequence it expects. So on a replicated stream,
//     where ids can't be used, every message is acknowledged.
//  3. Nothing is sent again on the hope that the de-duplication window remembers it. When an acknowledgement is
//     refused or stays away, or the connection is lost, the publisher fails with ErrUnsure and takes nothing until the
//     stream has been read (Stream.Read) and Reset called.
//  4. Nothing is buffered across a reconnect: what was sent into a lost connection is unsure, never sent again by itself.
//  5. The marker lives in a small stream of its own, so that no limit of the decision stream can remove it. It is
//     written with the expected last sequence of its subject: of two writers one gets ErrFenced.
//  6. An existing stream is only changed where nothing can be lost by it (a limit raised, a feature switched on); every
//     other difference is an error that names the cure.
//
// The ids of messages differ, except where the messages are the same. The number of replicas is changed while no node
// runs: stop, edit the stream, set the new number in the configuration, start.
//
// Measured on 2 cores that other work kept busy (load above 20), 500 bytes, 100,000 subjects, one replica, CPU time per
// message (go test -bench Publish -benchtime 100000x): 2.1 µs of the client; 11 µs if every message is acknowledged, and
// 24 against 40 µs of client and server together.
//
// Reading from replicas: a direct get may be answered by a replica that lags. Stream.Read asks the leader where the
// stream ends and does not return before the replica has shown that message.
package nats

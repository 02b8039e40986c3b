// Package deploy holds what it takes to run nudge: the default pipeline and four examples, the image, compose and Kubernetes files, alert
// rules, the dashboard, EVENTS.md, the contract of events and decisions, and GUARANTEES.md, the page that says what is promised.
//
// Invariants:
//
//  1. A test loads every file here; none can rot.
//  2. Every metric that an alert or the dashboard asks for is in Metrics.
//  3. Nothing here names a registry, a tag that moves, or a secret.
package deploy

package engine

import "nudge/streams"

// Program is a compiled pipeline: what is made of events. The engine calls it and knows nothing else of it.
//
// Law: every method is a function of its arguments, of the customer's state and of shared state (tables) as of the
// epoch's start. It reads no clock, no global random number, no map in map order, does no I/O and starts no goroutine.
type Program interface {
	// NewState returns the empty state of a customer.
	NewState() State
	// DecodeState is the inverse of State.AppendBinary. The bytes are only valid during the call.
	DecodeState(b []byte) (State, error)

	// NewScratch returns what one shard keeps within an epoch: buffers and the examples for Learn. It is never
	// checkpointed. It is given back as Turn.Scratch.
	NewScratch(shard int) any

	// Fold takes one event into the customer's state. Shared state is frozen: what the event teaches goes to the scratch.
	// user.merged, user.erased and duplicates never get here.
	Fold(t *Turn)
	// Fire is called when a timer that SetTimer armed is due. The timer is gone by then.
	Fire(t *Turn, timer Timer)
	// Visit is called once for each time that VisitAt asked for, when the watermark passes it. It is the cheap timer: one of
	// many customers who all want to be looked at then.
	Visit(t *Turn, atMS int64)
	// Flush is called in the place of all visits that a customer still waits for, at the end of a log: what is open is to be closed.
	Flush(t *Turn)
	// Merge takes the state of an anonymous customer into that of the known one. Its law (associative, the empty state is
	// its identity, bounded) is checked by the tests of package operators.
	Merge(into, from State)
	// Erase is called when a customer is erased, with their hash as of Turn.CustomerHash: what shared state holds of them by name is to be gone after
	// the next Learn. The state itself is the engine's to drop.
	Erase(scratch any, hash uint64)
	// Grant is called at the end of an epoch, one proposal after the other in (shard, position, ordinal) order, after all
	// shards have folded. It decides by shared state (budgets) whether the proposed decision is shown or withheld, edits
	// p.Decision accordingly, and writes what follows from that to the customer's state. t.State is nil if the customer was erased
	// since, or moved to another shard: then nothing may be granted.
	Grant(t *Turn, p *Proposal)

	// Item takes one catalogue record (item.upserted, item.removed) into shared state, before the shards fold.
	Item(e *streams.Event, appendMS int64)
	// Learn takes what the shards noted in their scratch into shared state, in shard order, and empties the scratch. The turn is nobody's: it
	// has the least watermark over the shards (math.MinInt64 before the first event), and takes results and messages.
	Learn(scratch []any, t *Turn)
	// FlushShared is Flush for shared state, called when nobody's is open any more.
	FlushShared(t *Turn)

	// Tables lists the shared state. The engine loads its rows at start and checkpoints those that changed.
	Tables() []*Table
	// Outputs names the result streams that Turn.Result puts lines out to.
	Outputs() []string
	// Names lists the deciders and groups that can be paused ("coupons", "home", ...).
	Names() []string
}

// State is what is remembered of one customer, decoded.
type State interface {
	// AppendBinary appends the canonical encoding: equal states give equal bytes, whatever the order of their making.
	AppendBinary(b []byte) []byte
	// Size estimates the bytes it takes in memory.
	Size() int
}

// Timer is an event-time timer of one customer. A customer has at most one of each Name.
type Timer struct {
	Name    string // short, from the pipeline's definition
	AtMS    int64
	ArmedBy string // id of the event that armed it
}

// Turn is one event or timer being folded for one customer. It is reused: nothing of it may be kept, but Event until Learn has returned.
type Turn struct {
	Event       *streams.Event // nil when a timer fires; in Grant as when proposed: nil
	Customer    string         // the id as sent
	Anonymous   bool           // the id is an anonymous one
	NowMS       int64          // event time of the cause
	WatermarkMS int64          // of the shard
	ClockMS     int64          // in Learn: the furthest that any shard's event clock has come; math.MinInt64 before the first event
	State       State
	Scratch     any

	turn // the engine's side: see turn.go
}

// Proposal is a decision that costs money and waits for the end of the epoch.
type Proposal struct {
	Decision *streams.Decision
	Budget   string // name of the budget asked
	Cost     int64  // millionths of the pipeline's currency, at most
	Data     any    // whatever the program wants to see again in Grant
}

// The engine's side of a Turn that programs use (turn.go):
//
//	Decide(d *streams.Decision)        publish d; the engine fills ID, User, TimeMS, Cause and Policy. d may be reused after the call.
//	Propose(p Proposal)                ask for money at the end of the epoch; takes the place in the output that Decide would have taken
//	SetTimer(name string, atMS int64)  arm or move a timer of this customer
//	ClearTimer(name string)            disarm it
//	TimerAt(name string) (int64, bool) when it is due
//	VisitAt(atMS int64)                have Visit called when the watermark passes that time
//	Result(output, key, value)         put a line out to a result stream
//	Publish(subject, id, data)         put a message out beside the decisions
//	Beside(f func()) (wait func())     have f run while the fold goes on
//	Random(salt uint64) uint64         a random number that is a function of (app, generation, position or timer, salt)
//	CustomerHash() uint64              a hash of (app, customer) that never changes: for holdouts and arms
//	Paused(name string) bool           whether the operator has paused it
//	Stale(expiresMS int64) bool        whether a decision that expires then would have expired when the epoch arrived
//	Why(reason string)                 tell whoever made a request why it has led to no decision
//	Count(name string)                 add 1 to the counter of that name in metrics and summary, e.g. "ignored/bots"
//	CountMany(name string, n int64)    add n to it

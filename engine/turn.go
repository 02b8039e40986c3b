package engine

import (
	"encoding/binary"
	"math"
	"sort"
	"strings"

	"github.com/cespare/xxhash/v2"

	"nudge/streams"
)

// turn is the engine's side of a Turn.
type turn struct {
	shard    *shard
	customer *customer
	// cause: a position, or a fired timer
	input   int
	pos     streams.Position
	event   string // id of the event at pos
	request string // the cause in ids where the event is a request that came on NATS; there is no pos then
	why     string // see Why
	timer   Timer
	byTimer bool
	ordinal map[string]int // how many decisions of a name this turn has made
	names   []string       // the keys of ordinal, to reset it
}

// Decide publishes d. The engine fills ID, User, Anonymous, TimeMS, Cause and Policy; everything else is the caller's, who
// may reuse d after the call.
func (t *Turn) Decide(d *streams.Decision) {
	t.complete(d)
	t.shard.emit(d)
}

// Propose asks for money at the end of the epoch. The decision takes the place in the output that Decide would have given
// it now. p.Decision belongs to the engine from here on.
func (t *Turn) Propose(p Proposal) {
	t.complete(p.Decision)
	t.shard.propose(t, p)
}

func (t *Turn) complete(d *streams.Decision) {
	s := t.shard
	n := t.ordinal[d.Name]
	if n == 0 {
		t.names = append(t.names, d.Name)
	}
	t.ordinal[d.Name] = n + 1
	d.ID = t.id(d.Name, n)
	d.User, d.Anonymous = t.Customer, t.Anonymous
	d.TimeMS = t.NowMS
	d.Policy = s.engine.policy
	switch {
	case t.byTimer:
		d.Cause = streams.Cause{Timer: strings.TrimPrefix(t.timer.Name, " "), AtMS: t.timer.AtMS, ArmedBy: t.timer.ArmedBy}
	case t.request != "":
		d.Cause = streams.Cause{Request: t.event}
	default:
		d.Cause = streams.Cause{Topic: t.pos.Topic, Partition: t.pos.Partition, Offset: t.pos.Offset, Event: t.event}
	}
}

// NextID is the id that the next decision of a name will have.
func (t *Turn) NextID(name string) string { return t.id(name, t.ordinal[name]) }

func (t *Turn) id(name string, n int) string {
	cfg := &t.shard.engine.cfg
	switch {
	case t.byTimer:
		return streams.TimerDecisionID(cfg.App, cfg.Generation, t.customer.key, t.timer.AtMS, name, n)
	case t.request != "":
		return streams.RequestDecisionID(cfg.App, cfg.Generation, t.request, name, n)
	}
	return streams.DecisionID(cfg.App, cfg.Generation, t.pos, name, n)
}

// SetTimer arms a timer of this customer, or moves it. One whose time an event finds passed is due when the watermark next
// moves: so no timer of a customer fires twice for the same time, and what it decides has an id of its own.
func (t *Turn) SetTimer(name string, atMS int64) {
	armedBy := t.event
	if t.byTimer {
		armedBy = t.timer.ArmedBy
	} else {
		atMS = t.shard.ahead(atMS)
	}
	t.shard.setTimer(t.customer, Timer{Name: name, AtMS: atMS, ArmedBy: armedBy})
}

// ClearTimer disarms a timer of this customer.
func (t *Turn) ClearTimer(name string) { t.shard.clearTimer(t.customer, name) }

// TimerAt says when a timer of this customer is due.
func (t *Turn) TimerAt(name string) (atMS int64, armed bool) {
	if i, ok := t.customer.timer(name); ok {
		return t.customer.timers[i].AtMS, true
	}
	return 0, false
}

// Random returns a number that is a function of the app, its generation, the cause and the salt.
func (t *Turn) Random(salt uint64) uint64 {
	var b [64]byte
	k := binary.LittleEndian.AppendUint64(b[:0], t.shard.engine.seed)
	k = binary.LittleEndian.AppendUint64(k, salt)
	if t.byTimer {
		k = binary.LittleEndian.AppendUint64(k, uint64(t.timer.AtMS))
		k = binary.LittleEndian.AppendUint64(k, xxhash.Sum64String(t.customer.key))
		return mix(xxhash.Sum64(k) ^ xxhash.Sum64String(t.timer.Name))
	}
	if t.request != "" {
		return mix(xxhash.Sum64(k) ^ xxhash.Sum64String(t.request))
	}
	k = binary.LittleEndian.AppendUint64(k, uint64(t.input))
	k = binary.LittleEndian.AppendUint32(k, uint32(t.pos.Partition))
	k = binary.LittleEndian.AppendUint64(k, uint64(t.pos.Offset))
	return mix(xxhash.Sum64(k))
}

// CustomerHash returns a hash of the app and the customer that never changes: for holdouts and arms.
func (t *Turn) CustomerHash() uint64 {
	return t.shard.engine.customerHash(t.customer.key)
}

func (e *Engine) customerHash(key string) uint64 { return mix(e.appHash ^ xxhash.Sum64String(key)) }

// mix is the finaliser of splitmix64 (Steele, Lea, Flood 2014).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Beside has work done while the fold goes on, for what takes longer than an epoch may. f works on what it alone has; wait returns when it is done.
// When a program waits, and so when it takes up what was done, must be a function of the epochs.
func (t *Turn) Beside(f func()) (wait func()) {
	if run := t.shard.engine.cfg.Beside; run != nil {
		return run(f)
	}
	return f
}

// App is what every id begins with.
func (t *Turn) App() string { return t.shard.engine.cfg.App }

// Generation is the second part of what every id begins with; often "".
func (t *Turn) Generation() string { return t.shard.engine.cfg.Generation }

// Shard is the number of the customer's shard.
func (t *Turn) Shard() int { return t.shard.number }

// DueMS is when the timer or visit was due: that of a visit for a time that had passed when it was asked for is later.
func (t *Turn) DueMS() int64 { return t.timer.AtMS }

// Paused says whether an operator has paused that name.
func (t *Turn) Paused(name string) bool { return t.shard.engine.paused[name] }

// Stale says whether a decision that expires then had expired when the epoch arrived. Asked for each decision, at most once:
// those that are stale are counted.
func (t *Turn) Stale(expiresMS int64) bool {
	e := t.shard.engine
	if e.cfg.ActOnStale || expiresMS > e.arrivalMS {
		return false
	}
	t.shard.counts.Stale++
	return true
}

// Why says why a request has led to no decision, for whoever made it. It decides nothing.
func (t *Turn) Why(reason string) { t.why = reason }

// Count adds one to the counter of that name.
func (t *Turn) Count(name string) { count(&t.shard.counts.Named, name) }

// CountMany adds n to a counter; 0 makes none.
func (t *Turn) CountMany(name string, n int64) {
	if n > 0 {
		addTo(&t.shard.counts.Named, map[string]int64{name: n})
	}
}

// begin readies the turn for a customer.
func (t *Turn) begin(c *customer) {
	t.customer = c
	t.Customer, t.Anonymous, t.State = c.id(), c.anonymous(), c.state
	for _, n := range t.names {
		delete(t.ordinal, n)
	}
	t.names = t.names[:0]
}

func (s *shard) setTimer(c *customer, t Timer) {
	i, armed := c.timer(t.Name)
	if armed {
		if c.timers[i].AtMS == t.AtMS {
			return
		}
		s.timers.delete(due{atMS: c.timers[i].AtMS, key: c.key, name: t.Name})
		c.timers[i] = cloneTimer(t)
	} else {
		i = sort.Search(len(c.timers), func(i int) bool { return c.timers[i].Name >= t.Name })
		c.timers = append(c.timers, Timer{})
		copy(c.timers[i+1:], c.timers[i:])
		c.timers[i] = cloneTimer(t)
	}
	s.timers.put(due{atMS: t.AtMS, key: c.key, name: c.timers[i].Name})
}

// ahead is the time, or the first that the watermark has not passed.
func (s *shard) ahead(atMS int64) int64 {
	if s.watermarkMS != math.MinInt64 {
		atMS = max(atMS, s.watermarkMS+1)
	}
	return atMS
}

func (s *shard) clearTimer(c *customer, name string) {
	if i, armed := c.timer(name); armed {
		s.timers.delete(due{atMS: c.timers[i].AtMS, key: c.key, name: name})
		c.timers = append(c.timers[:i], c.timers[i+1:]...)
	}
}

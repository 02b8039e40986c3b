package engine

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
)

// customer is one customer of a shard, or the alias that an anonymous one left behind.
//
// key is 'u' or 'a' and the id as sent: a known and an anonymous customer of the same id are two.
type customer struct {
	key    string
	state  State
	seen   ring
	timers []Timer // ascending by name
	visits []int64 // times, ascending
	// anons lists the anonymous ids merged into this customer, so that erasure finds their aliases. Bounded.
	anons []string
	// alias is where later events of this anonymous id go; nil unless it was merged.
	alias  *alias
	lastMS int64 // event time of the last event folded

	marks customerMarks
	size  int32 // as last counted into the cache's total
}

type alias struct {
	user  string
	shard int
}

type customerMarks uint8

const (
	markDirty    customerMarks = 1 << iota // changed since the last checkpoint began
	markPending                            // the checkpoint in progress has still to write it
	markInFlight                           // written to a checkpoint that is not complete yet
	markUsed                               // used since the cache's hand last passed
	markGone                               // erased or merged: its row is to be deleted
)

const maxAnons = 16

func (c *customer) id() string      { return c.key[1:] }
func (c *customer) anonymous() bool { return c.key[0] == 'a' }

// memory estimates the bytes that the customer takes.
func (c *customer) memory() int32 {
	n := 272 + 2*len(c.key) + 8*cap(c.seen.hashes) + 112*cap(c.timers) + 8*cap(c.visits)
	if c.state != nil {
		n += c.state.Size()
	}
	for _, a := range c.anons {
		n += 16 + len(a)
	}
	return int32(n)
}

func (c *customer) timer(name string) (int, bool) {
	for i := range c.timers {
		if c.timers[i].Name == name {
			return i, true
		}
	}
	return 0, false
}

const customerVersion = 2

// appendBinary appends the customer's row (without its key).
func (c *customer) appendBinary(b []byte) []byte {
	b = append(b, customerVersion)
	if c.alias != nil {
		b = append(b, 1)
		b = appendString(b, c.alias.user)
		b = binary.AppendUvarint(b, uint64(c.alias.shard))
	} else {
		b = append(b, 0)
	}
	b = binary.AppendVarint(b, c.lastMS)
	b = binary.AppendUvarint(b, uint64(len(c.timers)))
	for _, t := range c.timers {
		b = appendString(b, t.Name)
		b = binary.AppendVarint(b, t.AtMS)
		b = appendString(b, t.ArmedBy)
	}
	b = binary.AppendUvarint(b, uint64(len(c.visits)))
	before := c.lastMS
	for _, atMS := range c.visits {
		b = binary.AppendVarint(b, atMS-before)
		before = atMS
	}
	b = binary.AppendUvarint(b, uint64(len(c.anons)))
	for _, a := range c.anons {
		b = appendString(b, a)
	}
	b = c.seen.appendBinary(b)
	if c.state == nil {
		return b
	}
	return c.state.AppendBinary(b)
}

func decodeCustomer(key string, b []byte, p Program) (*customer, error) {
	c := &customer{key: key}
	if err := c.decode(b, p); err != nil {
		return nil, fmt.Errorf("engine: decode customer %q: %w", key, err)
	}
	return c, nil
}

func (c *customer) decode(b []byte, p Program) error {
	r := reader{b: b}
	if v := r.byte(); v != customerVersion {
		return fmt.Errorf("row of version %d, this build reads %d: use the build that wrote it, or an empty folder", v, customerVersion)
	}
	if r.byte() == 1 {
		c.alias = &alias{user: r.string(), shard: int(r.uvarint())}
	}
	c.lastMS = r.varint()
	if n := r.count(); n > 0 {
		c.timers = make([]Timer, 0, n)
		for ; n > 0; n-- {
			c.timers = append(c.timers, Timer{Name: r.string(), AtMS: r.varint(), ArmedBy: r.string()})
		}
	}
	if n := r.count(); n > 0 {
		c.visits = make([]int64, n)
		before := c.lastMS
		for i := range c.visits {
			before += r.varint()
			c.visits[i] = before
		}
	}
	for n := r.count(); n > 0; n-- {
		c.anons = append(c.anons, r.string())
	}
	c.seen.decode(&r)
	if r.err != nil {
		return r.err
	}
	var err error
	if c.alias == nil {
		c.state, err = p.DecodeState(r.b)
	}
	return err
}

// addAnon remembers that an anonymous id was merged into c.
func (c *customer) addAnon(id string) {
	i := sort.SearchStrings(c.anons, id)
	if i < len(c.anons) && c.anons[i] == id {
		return
	}
	if len(c.anons) == maxAnons {
		return // its alias expires by itself
	}
	c.anons = append(c.anons, "")
	copy(c.anons[i+1:], c.anons[i:])
	c.anons[i] = id
}

// dropAnon forgets an anonymous id.
func (c *customer) dropAnon(id string) {
	if i := sort.SearchStrings(c.anons, id); i < len(c.anons) && c.anons[i] == id {
		c.anons = append(c.anons[:i], c.anons[i+1:]...)
	}
}

// ring remembers the hashes of a customer's last event ids. hashes grows up to the limit, then next is overwritten.
type ring struct {
	hashes []uint64
	next   int
}

// has says whether h is remembered.
func (r *ring) has(h uint64) bool { return slices.Contains(r.hashes, h) }

// add says whether h was there; if not it is remembered, at most limit of them.
func (r *ring) add(h uint64, limit int) (duplicate bool) {
	if r.has(h) {
		return true
	}
	if len(r.hashes) < limit {
		if len(r.hashes) == cap(r.hashes) { // grow gently: most customers are seen a few times
			grown := make([]uint64, len(r.hashes), min(limit, max(4, 2*len(r.hashes))))
			copy(grown, r.hashes)
			r.hashes = grown
		}
		r.hashes = append(r.hashes, h)
		return false
	}
	if limit == 0 {
		return false
	}
	if r.next >= len(r.hashes) {
		r.next = 0
	}
	r.hashes[r.next] = h
	r.next++
	return false
}

// oldestFirst calls f with the hashes in the order in which they came.
func (r *ring) oldestFirst(f func(h uint64)) {
	for i := range r.hashes {
		f(r.hashes[(r.next+i)%len(r.hashes)])
	}
}

// appendBinary writes the hashes oldest first, so that equal histories give equal bytes.
func (r *ring) appendBinary(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(r.hashes)))
	r.oldestFirst(func(h uint64) { b = binary.LittleEndian.AppendUint64(b, h) })
	return b
}

func (r *ring) decode(d *reader) {
	n := d.count()
	if n == 0 {
		return
	}
	r.hashes = make([]uint64, n)
	for i := range r.hashes {
		r.hashes[i] = d.uint64()
	}
}

// merge takes the ids that o remembers as older than its own.
func (r *ring) merge(o *ring, limit int) {
	own := r.hashes
	ownNext := r.next
	*r = ring{}
	o.oldestFirst(func(h uint64) { r.add(h, limit) })
	(&ring{hashes: own, next: ownNext}).oldestFirst(func(h uint64) { r.add(h, limit) })
}

package simulate

import (
	"math"
	"math/rand/v2"
)

// source is where the world's random numbers come from at the moment: a person's own stream, or the world's.
type source struct{ *rand.PCG }

// World is a shop in motion.
type World struct {
	shop    Shop
	startMS int64
	now     int64
	tempo   float64 // how much faster than naturally shoppers come
	tag     [4]byte // of event ids
	counts  Counts

	source source
	rand   *rand.Rand // draws from source
	own    rand.PCG
	noise  *rand.Rand
	noisy  bool

	tasks tasks
	seq   uint64

	items      []item
	shelves    [][]uint32 // items of a category by popularity
	lnShelf    []float64
	listed     int // items of the first catalogue that have been written
	subStyle   [len(categories)][3][dims]float64
	brandStyle [len(brands)][dims]float64
	seasonDay  int64
	seasons    [len(categories)]float32

	people        []person // Shoppers known ones, then bots and staff, then strangers
	settled       uint32   // slots of known shoppers in use
	left          []departure
	strangers     map[uint32]uint32
	strangersFree []uint32
	strangerNo    uint32
	waiting       int
	crowd         Crowd
	crowds        uint32 // tasks of another crowd are void

	orders        []order
	ordersFree    []uint32
	reactions     []reaction
	reactionsFree []uint32

	out     []Record
	outAt   int
	delayed []delayed
	chunk   []byte

	muted  bool
	bought func(no uint32)

	buf, shelfBuf, key, truthBuf []byte
	list                         []uint32
	truthErr                     error
}

// New opens a shop. It is in motion from shop.Start on: the catalogue first, then its people.
func New(shop Shop) (*World, error) {
	if err := shop.Validate(); err != nil {
		return nil, err
	}
	w := &World{
		shop:      shop,
		startMS:   shop.Start.UnixMilli(),
		now:       shop.Start.UnixMilli(),
		tempo:     1,
		items:     make([]item, shop.Items),
		shelves:   make([][]uint32, len(categories)),
		lnShelf:   make([]float64, len(categories)),
		seasonDay: -1,
		strangers: map[uint32]uint32{},
		noise:     rand.New(rand.NewPCG(shop.Seed, 0x6e6f697365)),
		noisy:     shop.OutOfOrder+shop.Late+shop.Duplicate+shop.Broken > 0,
	}
	if shop.EventsPerSecond > 0 {
		w.tempo = shop.EventsPerSecond * 86400 / (eventsPerShopperDay * float64(shop.Shoppers))
	}
	w.own.Seed(shop.Seed, 0x776f726c64)
	w.rand = rand.New(&w.source)
	w.asWorld()
	for i := range w.tag {
		w.tag[i] = "0123456789abcdefghjkmnpqrstvwxyz"[w.rand.IntN(32)]
	}
	w.furnish()
	w.populate()
	return w, nil
}

func (w *World) asWorld() { w.source.PCG = &w.own }

// furnish draws the first catalogue.
func (w *World) furnish() {
	for c := range w.subStyle {
		for s := range w.subStyle[c] {
			for d := range w.subStyle[c][s] {
				w.subStyle[c][s][d] = w.rand.NormFloat64()
			}
		}
	}
	for b := range w.brandStyle {
		for d := range w.brandStyle[b] {
			w.brandStyle[b][d] = w.rand.NormFloat64()
		}
	}
	for i := range w.items {
		w.stockShelf(uint32(i), uint32(i+1))
		c := w.items[i].cat
		w.shelves[c] = append(w.shelves[c], uint32(i))
	}
	for c, shelf := range w.shelves {
		w.rand.Shuffle(len(shelf), func(i, j int) { shelf[i], shelf[j] = shelf[j], shelf[i] })
		w.lnShelf[c] = math.Log(float64(len(shelf) + 1))
	}
	w.plan(w.now+hourMS, doShelf, 0, 0)
}

// populate draws the people of the first day: most shoppers are there already, somewhere in their rhythm.
func (w *World) populate() {
	n := w.shop.Shoppers
	bots, helpers := share(w.shop.BotShare, n), share(w.shop.StaffShare, n)
	w.people = make([]person, n+bots+helpers, n+bots+helpers+256)
	w.settled = uint32(max(n*85/100, w.shop.Lapsed.Shoppers, 1))
	for i := range w.settled {
		p := &w.people[i]
		w.newPerson(p, i, i+1, known)
		if int(i) < w.shop.Lapsed.Shoppers {
			w.enroll(p)
			continue
		}
		w.renew(p, -1)
		p.needMS = w.now + int64(w.rand.Float64()*float64(p.needMS-w.now))
		p.casualNextMS = w.now + int64(w.rand.ExpFloat64()*p.casualMS)
		w.planVisit(p)
	}
	for i := range bots + helpers {
		slot := uint32(n + i)
		as, no := bot, uint32(i+1)
		if i >= bots {
			as, no = staff, uint32(i-bots+1)
		}
		p := &w.people[slot]
		w.newPerson(p, slot, no, as)
		w.plan(w.now+int64(w.rand.Float64()*dayMS/w.tempo), doVisit, slot, p.stamp)
	}
	w.asWorld()
	w.plan(w.now+minuteMS, doArrive, 0, 0)
	for i, c := range w.shop.Crowds {
		w.plan(max(c.From.UnixMilli(), w.now), doSurge, 0, uint32(i))
	}
}

func share(s float64, n int) int {
	if s == 0 {
		return 0
	}
	return max(int(s*float64(n)), 1)
}

// enroll makes a shopper one of the lapsed cohort: orders every Every, the last so that the silence falls due in time.
func (w *World) enroll(p *person) {
	l := &w.shop.Lapsed
	p.regular = true
	p.everyMS = float64(l.Every.Milliseconds())
	last := l.At.UnixMilli() - l.Silence.Milliseconds() + int64(w.rand.Float64()*float64(l.Over.Milliseconds()))
	every := l.Every.Milliseconds()
	first := last
	if last > w.now {
		first = last - (last-w.now)/every*every
	}
	p.needMS, p.leaveMS = first, last+every/2
	p.casualNextMS = math.MaxInt64
	w.planVisit(p)
}

// plan puts a task into the queue.
func (w *World) plan(at int64, do deed, who, arg uint32) {
	w.seq++
	w.tasks.push(task{at: at, seq: w.seq, who: who, arg: arg, do: do})
}

// Next returns the next record of an endless stream.
func (w *World) Next() Record {
	rec, _ := w.Until(math.MaxInt64)
	return rec
}

// Until returns the next record that arrives at tMS or before, or false if there is none (until a decision is reacted
// to). It is how a caller keeps the world in step with a clock.
func (w *World) Until(tMS int64) (Record, bool) {
	for {
		if w.outAt < len(w.out) {
			rec := w.out[w.outAt]
			if rec.TimeMS > tMS {
				return Record{}, false
			}
			w.outAt++
			w.counts.Records++
			return rec, true
		}
		w.out, w.outAt = w.out[:0], 0
		if w.listed < len(w.items) {
			w.listed++
			w.writeItem(&w.items[w.listed-1])
			continue
		}
		due := w.tasks[0].at // never empty: arrivals go on for ever
		if len(w.delayed) > 0 && w.delayed[0].TimeMS <= min(due, tMS) {
			w.out = append(w.out, w.arrived())
			continue
		}
		if due > tMS {
			return Record{}, false
		}
		w.run(w.tasks.pop())
	}
}

// run does what a task is about.
func (w *World) run(t task) {
	w.now = t.at
	switch t.do {
	case doStep:
		if p := &w.people[t.who]; p.stamp == t.arg {
			w.goOn(p, w.step(p))
		}
	case doVisit:
		if p := &w.people[t.who]; p.stamp == t.arg {
			w.begin(p)
		}
	case doLeave:
		if p := &w.people[t.who]; p.stamp == t.arg {
			if p.role == stranger {
				w.forget(p)
			} else {
				w.as(p)
				w.leave(p, leftMoved)
			}
		}
	case doTurn:
		if p := &w.people[t.who]; p.no == t.arg && p.alive {
			w.turn(p)
		}
	case doDeliver:
		w.deliver(t.arg)
	case doReview, doRefund:
		w.settle(t.arg, t.do)
	case doReact:
		w.react(t.arg)
	case doRestock:
		w.restock(t.who, t.arg)
	default:
		w.asWorld()
		switch t.do {
		case doArrive:
			w.arrive()
		case doCrowd:
			if t.arg == w.crowds {
				w.join()
			}
		case doSurge:
			w.crowds++
			w.crowd = w.shop.Crowds[t.arg]
			w.join()
		case doShelf:
			w.stirShelf()
		}
	}
}

// NowMS is the time of the last thing that happened.
func (w *World) NowMS() int64 { return w.now }

// Counts says what has been written so far.
func (w *World) Counts() Counts { return w.counts }

// Err reports whether the truth could be written. It is the only thing that can fail.
func (w *World) Err() error { return w.truthErr }

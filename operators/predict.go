package operators

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"

	"nudge/engine"
	"nudge/models"
	"nudge/operators/feature"
)

// prediction is the chance, of each customer, that an event comes within a time. It is learned from forecasts: at moments that chance picks, at an
// event of the customer or some time after one, what is known of the customer is written down, and when the time is over it is learned whether the event came.
type prediction struct {
	name   string
	key    uint32 // of what it predicts: one that is changed begins anew
	event  trigger
	within int64 // ms
	model  *models.Logistic
}

// forecast is one of a customer that waits: to be made, or for its outcome.
type forecast struct {
	prediction uint32
	atMS       int64 // when it is made
	made       bool
	came       bool // the event, within the time
	logit      float32
	features   []uint16
}

// foretold is a forecast with its outcome, for Learn.
type foretold struct {
	by *prediction
	forecast
}

// What is known of a customer, in buckets. What was learned is kept under their numbers: a new kind comes last.
const (
	knowsAlways   = 0                 // what holds of all
	knowsIdle     = 1                 // time since the last event
	knowsMinutes  = knowsIdle + 32    // items met within half an hour
	knowsDay      = knowsMinutes + 8  // within a day
	knowsWeek     = knowsDay + 8      // within a week
	knowsCart     = knowsWeek + 8     // lines of the cart, and how long ago something was put into it
	knowsOrders   = knowsCart + 4*16  // orders, and how long ago the last was
	knowsRhythm   = knowsOrders + 256 // time since the last order beside the usual one between two
	knowsTenure   = knowsRhythm + 16  // time since the first event
	knowsHour     = knowsTenure + 16  // of the day
	knowsWeekday  = knowsHour + 24
	knowsSpent    = knowsWeekday + 8 // on an order
	knowsVisit    = knowsSpent + 32  // items within half an hour with lines of the cart
	knowsPace     = knowsVisit + 32  // time since the last event with items within a day
	knowsDeclared = knowsPace + 256  // features of the customer that the pipeline declares, by name and value
	knowsAll      = 4096
)

// addPredictions compiles the predictions.
func (p *Program) addPredictions() error {
	for _, name := range slices.Sorted(maps.Keys(p.config.Predictions)) {
		x := p.config.Predictions[name]
		text := fmt.Sprintf("%s\x00%q\x00%d", name, x.Event, x.Within.MS())
		y := &prediction{name: name, key: uint32(xxhash.Sum64String(text)), event: newTrigger(x.Event...), within: x.Within.MS(), model: models.NewLogistic(knowsAll)}
		for _, other := range p.predictions {
			if other.key == y.key {
				return fmt.Errorf("operators: the predictions %q and %q can't be told apart: rename one", other.name, name)
			}
		}
		p.predictions = append(p.predictions, y)
	}
	return nil
}

// predictionNumber is the number of the prediction of that name, -1 if there is none.
func (p *Program) predictionNumber(name string) int {
	return slices.IndexFunc(p.predictions, func(x *prediction) bool { return x.name == name })
}

func (x *prediction) tableName() string { return "predicts_" + letters(x.key) }

// table is the shared state of a prediction: the record, then the rows of the weights.
func (x *prediction) table() *engine.Table {
	t := &engine.Table{Name: x.tableName(),
		Row: func(i uint32, key, value []byte) (k, v []byte) {
			key = binary.BigEndian.AppendUint32(key, i)
			if i == 0 {
				return key, orNil(x.model.AppendRecord(value))
			}
			return key, orNil(x.model.AppendRow(value, i-1))
		},
		Load: func(key, value []byte) error {
			return loadRow(key, value, func(row uint32, b []byte) error {
				if row == 0 {
					return x.model.LoadRecord(b)
				}
				return x.model.LoadRow(row-1, b)
			})
		}}
	x.model.Touch = func(row uint32) { t.Touch(row + 1) }
	x.model.TouchRecord = func() { t.Touch(0) }
	return t
}

// foretell takes the event into the customer's forecasts, and begins those that are missing.
func (p *Program) foretell(t *engine.Turn, c *Customer, s *scratch) {
	for n, x := range p.predictions {
		k, there := c.forecast(x.key)
		if there {
			f := &c.forecasts[k]
			switch {
			case t.NowMS <= f.atMS+x.within:
				if f.made && t.NowMS > f.atMS && x.event.has(t.Event) {
					f.came = true
				}
				continue
			case t.NowMS <= f.atMS+x.within+lateVisit:
				continue // its visit is to come
			}
			c.forecasts = slices.Delete(c.forecasts, k, k+1) // the pipeline was without the prediction when its visit came
		}
		// At any event alike, and not at the first of a visit; and some time after one, for idle customers are asked about, too.
		f := forecast{prediction: x.key, atMS: t.NowMS}
		switch chance := t.Random(uint64(x.key) + uint64(n)<<32); chance & 7 {
		case 0, 1:
			p.make(x, t, c, s, &f)
		case 2: // as often between a minute and two as between a day and two
			later := float64(chance>>11) / (1 << 53)
			f.atMS += int64(float64(leastIdle * models.Exp(later*models.Log(mostIdle/leastIdle))))
			t.VisitAt(f.atMS)
		default:
			continue
		}
		c.insertForecast(f)
	}
}

const (
	leastIdle = 60e3            // ms
	mostIdle  = 7 * 24 * 3600e3 // ms
	lateVisit = 24 * 3600_000   // ms
)

// visitForecasts makes the customer's forecasts that are due at a time, and hands those over that have their outcome.
func (p *Program) visitForecasts(t *engine.Turn, c *Customer, s *scratch, atMS int64) {
	for _, x := range p.predictions {
		k, there := c.forecast(x.key)
		if !there {
			continue
		}
		switch f := &c.forecasts[k]; {
		case !f.made && f.atMS == atMS:
			p.make(x, t, c, s, f)
		case f.made && f.atMS+x.within == atMS:
			s.foretold = append(s.foretold, foretold{x, *f})
			c.forecasts = slices.Delete(c.forecasts, k, k+1)
		}
	}
}

// make writes down what is known now.
func (p *Program) make(x *prediction, t *engine.Turn, c *Customer, s *scratch, f *forecast) {
	s.knows = p.knows(s.knows[:0], c, t.Anonymous, f.atMS)
	f.made, f.features, f.logit = true, slices.Clone(s.knows), x.model.Logit(s.knows)
	t.VisitAt(f.atMS + x.within)
}

// learnForetold takes in what came of forecasts.
func (p *Program) learnForetold(s *scratch) {
	for k := range s.foretold {
		f := &s.foretold[k]
		f.by.model.Learn(f.features, f.logit, f.came)
	}
	clear(s.foretold)
	s.foretold = s.foretold[:0]
}

// predict is the chance of a prediction for a customer as of a time; NaN while too little is known, or it is no better than the share that
// happens: nobody is to act on what is worse than a constant.
func (p *Program) predict(x *prediction, knows []uint16) float64 {
	if r := x.model.Record(); !r.Enough() || !r.Better() {
		return math.NaN()
	}
	return x.model.Chance(x.model.Logit(knows))
}

// knows appends what is known of a customer as of a time.
func (p *Program) knows(to []uint16, c *Customer, anonymous bool, nowMS int64) []uint16 {
	minutes, today, week := 0, 0, 0
	for k := len(c.recent) - 1; k >= 0; k-- {
		agoMS := nowMS - c.recent[k].atMS
		if agoMS >= 7*24*3600_000 {
			break
		}
		week++
		if agoMS < 24*3600_000 {
			today++
		}
		if agoMS < 30*60_000 {
			minutes++
		}
	}
	few := func(n int) int { return min(bits.Len(uint(n)), 5) }
	log2 := func(ms, unit int64, most int) int { return min(bits.Len64(uint64(max(ms, 0)/unit)), most) }
	idle := log2(nowMS-c.lastMS, 1000, 31)
	lines := min(len(c.cart), 3)
	add := func(kind, value int) { to = append(to, uint16(kind+value)) }
	add(knowsAlways, 0)
	add(knowsIdle, idle)
	add(knowsMinutes, few(minutes))
	add(knowsDay, few(today))
	add(knowsWeek, few(week))
	if lines > 0 {
		add(knowsCart, lines*16+log2(nowMS-c.cart[len(c.cart)-1].atMS, 600_000, 15))
	} else {
		add(knowsCart, 0)
	}
	orders := c.occasions()
	if orders.Count > 0 {
		sinceMS := nowMS - orders.LastMS
		add(knowsOrders, min(orders.Count, 7)*32+log2(sinceMS, 3600_000, 31))
		if orders.Count > 1 && orders.LastMS > orders.FirstMS {
			usual := float64(orders.LastMS-orders.FirstMS) / float64(orders.Count-1)
			ratio := models.Log(max(float64(sinceMS)/usual, 1e-6)) / math.Ln2
			add(knowsRhythm, 1+min(max(int(math.Floor(float64(2*ratio)))+8, 0), 14))
		}
	} else {
		add(knowsOrders, 0)
	}
	add(knowsTenure, min(log2(nowMS-c.firstMS, 3600_000, 14), 14))
	if anonymous {
		add(knowsTenure, 15)
	}
	now := msIn(nowMS, p.zone)
	add(knowsHour, now.Hour())
	add(knowsWeekday, int(now.Weekday()))
	if orders.Count > 0 {
		add(knowsSpent, min(bits.Len64(uint64(c.spent/int64(orders.Count))/1_000_000), 31))
	}
	add(knowsVisit, few(minutes)*4+lines)
	add(knowsPace, idle*8+few(today))
	for i := range p.features.Len() {
		if v := p.features.Value(&c.features, i, nowMS); v.Kind == feature.Number {
			h := xxhash.Sum64String(p.features.Name(i)) ^ uint64(numberBucket(v.Number))*0x9E3779B97F4A7C15
			h ^= h >> 32
			to = append(to, uint16(knowsDeclared+h%(knowsAll-knowsDeclared)))
		}
	}
	slices.Sort(to)
	return slices.Compact(to)
}

// numberBucket buckets a number by halves of powers of two; what is not known is a bucket of its own.
func numberBucket(x float64) int {
	switch {
	case x != x:
		return 0
	case x == 0:
		return 1
	}
	fraction, exponent := math.Frexp(math.Abs(x))
	bucket := 2 + 2*(min(max(exponent, -20), 60)+20)
	if fraction >= math.Sqrt2/2 {
		bucket++
	}
	if x < 0 {
		return -bucket
	}
	return bucket
}

// forecast says where the forecast of a prediction stands or would.
func (c *Customer) forecast(key uint32) (int, bool) {
	return slices.BinarySearchFunc(c.forecasts, key, func(f forecast, k uint32) int { return compare(f.prediction, k) })
}

func (c *Customer) insertForecast(f forecast) {
	k, there := c.forecast(f.prediction)
	if !there && len(c.forecasts) < keptForecasts {
		c.forecasts = slices.Insert(grow(c.forecasts), k, f)
	}
}

const keptForecasts = 16

// mergeForecasts takes in those of another: of one prediction the one that is made first.
func (c *Customer) mergeForecasts(o *Customer) {
	for _, f := range o.forecasts {
		k, there := c.forecast(f.prediction)
		switch {
		case !there:
			c.forecasts = slices.Insert(grow(c.forecasts), k, f)
		case compareForecasts(&f, &c.forecasts[k]) < 0:
			c.forecasts[k] = f
		}
	}
	if len(c.forecasts) > keptForecasts {
		c.forecasts = slices.Delete(c.forecasts, keptForecasts, len(c.forecasts))
	}
}

func compareForecasts(a, b *forecast) int {
	switch {
	case a.atMS != b.atMS:
		return compare(a.atMS, b.atMS)
	case a.made != b.made:
		return compare(bit(b.made), bit(a.made))
	case a.came != b.came:
		return compare(bit(b.came), bit(a.came))
	case a.logit < b.logit:
		return -1
	case a.logit > b.logit:
		return 1
	}
	return slices.Compare(a.features, b.features)
}

// appendForecasts appends their encoding.
func (c *Customer) appendForecasts(w *writer) {
	w.uint(uint64(len(c.forecasts)))
	for k := range c.forecasts {
		f := &c.forecasts[k]
		w.fixed32(f.prediction)
		w.time(f.atMS)
		w.uint(bit(f.made) | bit(f.came)<<1)
		if f.made {
			w.fixed32(math.Float32bits(f.logit))
			w.uint(uint64(len(f.features)))
			last := uint16(0)
			for _, x := range f.features {
				w.uint(uint64(x - last))
				last = x
			}
		}
	}
}

// forecasts is the inverse of appendForecasts.
func (r *reader) forecasts() []forecast {
	n := r.count(6)
	list := make([]forecast, 0, n)
	for range n {
		f := forecast{prediction: r.fixed32(), atMS: r.time()}
		flags := r.limited(3)
		f.made, f.came = flags&1 == 1, flags&2 == 2
		if f.made {
			if f.logit = math.Float32frombits(r.fixed32()); f.logit != f.logit {
				r.failf("log-odds that are no number")
			}
			last := uint64(0)
			for range r.limited(uint64(len(r.b))) {
				if last += r.limited(math.MaxUint16); last > math.MaxUint16 {
					r.failf("a feature %d", last)
				}
				f.features = append(f.features, uint16(last))
			}
		}
		if k := len(list); k > 0 && list[k-1].prediction >= f.prediction || f.came && !f.made {
			r.failf("the forecasts are out of order")
		}
		list = append(list, f)
	}
	return list
}

// forecastsSize estimates the bytes they take in memory.
func (c *Customer) forecastsSize() int {
	n := 56 * cap(c.forecasts)
	for k := range c.forecasts {
		n += 2 * cap(c.forecasts[k].features)
	}
	return n
}

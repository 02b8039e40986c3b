package simulate

// deed is what a task does when its time has come.
type deed uint8

const (
	doStep    deed = iota // a person goes on with a visit; arg is the person's stamp
	doVisit               // a person begins a visit; arg is the person's stamp
	doLeave               // a shopper moves away; arg is the person's stamp
	doTurn                // a shopper's tastes turn; arg is the person's number
	doArrive              // a shopper arrives
	doCrowd               // a visit of the crowd begins
	doSurge               // the crowd's rate changes; arg is the index of the Crowd
	doDeliver             // an order reaches its shopper; arg is the order
	doReview              // an order is reviewed
	doRefund              // an order is refunded
	doRestock             // an item is back in stock; who is the item
	doShelf               // something happens to the catalogue
	doReact               // a shopper sees a decision; arg is the reaction
)

// task is one thing that will happen.
type task struct {
	at  int64
	seq uint64
	who uint32
	arg uint32
	do  deed
}

func (a *task) before(b *task) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

// tasks is a 4-ary heap ordered by (at, seq). container/heap costs three times as much: an interface call per comparison.
type tasks []task

func (h *tasks) push(t task) {
	*h = append(*h, t)
	s := *h
	i := len(s) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !t.before(&s[parent]) {
			break
		}
		s[i] = s[parent]
		i = parent
	}
	s[i] = t
}

func (h *tasks) pop() task {
	s := *h
	top := s[0]
	last := s[len(s)-1]
	s = s[:len(s)-1]
	*h = s
	if len(s) == 0 {
		return top
	}
	i := 0
	for {
		first := 4*i + 1
		if first >= len(s) {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, len(s)); c++ {
			if s[c].before(&s[least]) {
				least = c
			}
		}
		if !s[least].before(&last) {
			break
		}
		s[i] = s[least]
		i = least
	}
	s[i] = last
	return top
}

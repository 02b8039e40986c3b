package models

// Query is what a customer or a session did, and when it is asked what comes next.
type Query struct {
	Items   []Item  // the latest first; an item may come several times
	TimesMS []int64 // of each
	NowMS   int64
	Session uint64 // what names the customer or session, 0 for none
}

// distinct appends the first n different items of a query that are known, the latest first.
func (q *Query) distinct(to []Item, n int) []Item {
next:
	for _, i := range q.Items {
		if len(to) == n {
			break
		}
		if i == NoItem {
			continue
		}
		for _, x := range to {
			if x == i {
				continue next
			}
		}
		to = append(to, i)
	}
	return to
}

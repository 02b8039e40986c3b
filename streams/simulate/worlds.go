package simulate

import (
	"fmt"
	"strings"
	"time"
)

// Nature is what the people and things of a shop are like, beyond how many there are. Default has the one of the base world.
type Nature struct {
	// Taste scales what tells items apart for shoppers - tastes, styles, quality, price -, of which 1 is the usual amount. With 0
	// every item is worth the same to everybody, and what they choose is chance.
	Taste float64
	// Hidden is the share of an item's style that neither its category nor its brand gives away, beyond the usual half.
	Hidden float64
	// Turns is the mean time between two changes of a shopper's taste.
	Turns time.Duration
	// Seasons scales how much the seasons change what is wanted, Arrivals how fast the catalogue changes. 1 is usual.
	Seasons, Arrivals float64
	// Choice is the law by which shoppers choose.
	Choice Choice
}

// worlds are the natures that have a name. They were fixed before any model was measured in them.
var worlds = []struct {
	name, what string
	nature     Nature
}{
	{"base", "tastes, prices and seasons as usual", Nature{Taste: 1, Turns: 150 * 24 * time.Hour, Seasons: 1, Arrivals: 1}},
	{"latent", "what makes items alike stands in no catalogue", Nature{Taste: 1, Hidden: 1, Turns: 150 * 24 * time.Hour, Seasons: 1, Arrivals: 1}},
	{"seasons", "strong seasons, and many new arrivals", Nature{Taste: 1, Turns: 150 * 24 * time.Hour, Seasons: 3, Arrivals: 4}},
	{"turning", "tastes that turn every three weeks", Nature{Taste: 1, Turns: 21 * 24 * time.Hour, Seasons: 1, Arrivals: 1}},
	{"null", "no taste at all: nothing can be learned", Nature{Taste: 0, Turns: 150 * 24 * time.Hour, Seasons: 0, Arrivals: 1}},
	{"satisficing", "people take the first item that is good enough, by hurdles and not by utilities", Nature{Taste: 1, Turns: 150 * 24 * time.Hour, Seasons: 1, Arrivals: 1, Choice: Satisficing}},
}

// Worlds lists the names of the natures, with what they are.
func Worlds() (names, what []string) {
	for _, w := range worlds {
		names, what = append(names, w.name), append(what, w.what)
	}
	return names, what
}

// NatureOf returns the nature of a name.
func NatureOf(name string) (Nature, error) {
	for _, w := range worlds {
		if w.name == name {
			return w.nature, nil
		}
	}
	names, _ := Worlds()
	return Nature{}, fmt.Errorf("streams/simulate: there is no world %q, but %s", name, strings.Join(names, ", "))
}

// validate reports every fault.
func (n *Nature) validate(fault func(field, want string, got any)) {
	scale := func(field string, x, most float64) {
		if !(x >= 0 && x <= most) {
			fault(field, fmt.Sprintf("0 to %v", most), x)
		}
	}
	scale("Nature.Taste", n.Taste, 10)
	scale("Nature.Hidden", n.Hidden, 1)
	scale("Nature.Seasons", n.Seasons, 10)
	scale("Nature.Arrivals", n.Arrivals, 100)
	if n.Choice > Satisficing {
		fault("Nature.Choice", "a law that there is", n.Choice)
	}
	if n.Turns < time.Hour {
		fault("Nature.Turns", "at least 1h", n.Turns)
	}
}

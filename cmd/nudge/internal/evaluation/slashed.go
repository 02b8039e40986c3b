package evaluation

import (
	"fmt"
	"strings"
	"time"
)

// The orders of what a date such as 05/02/2011 begins with.
const (
	DayFirst   = "day-first"
	MonthFirst = "month-first"
)

var firstWords = map[string]string{DayFirst: "the day first", MonthFirst: "the month first"}

func other(order string) string {
	if order == DayFirst {
		return MonthFirst
	}
	return DayFirst
}

var slashedLayouts = map[string][]string{
	MonthFirst: {"1/2/2006 15:04", "1/2/2006", "1/2/2006 15:04:05"},
	DayFirst:   {"2/1/2006 15:04", "2/1/2006", "2/1/2006 15:04:05"},
}

func parseSlashed(s, order string) (ms int64, ok bool) {
	for _, layout := range slashedLayouts[order] {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMilli(), true
		}
	}
	return 0, false
}

// isSlashed says whether a text is written like a date in either order, whether there is such a day or not.
func isSlashed(s string) bool {
	at := strings.IndexByte(s, '/')
	return (at == 1 || at == 2) && strings.IndexByte(s[at+1:], '/') > 0
}

// slashed are the dates of a file that are written with slashes. What they begin with is told by --dates, or by those that can be read in one way
// alone; where nothing tells, it is the month.
type slashed struct {
	order string // "" while it is not known
	told  string // what tells
	doubt string // the first that either order reads, as two days
	twice []twice
}

// twice is a date that both orders read.
type twice struct {
	row   int
	dayMS int64 // with the day first
}

// add takes in the date of a row that stands in a line.
func (d *slashed) add(line, row int, text string) error {
	if !isSlashed(text) {
		return nil
	}
	monthMS, month := parseSlashed(text, MonthFirst)
	dayMS, day := parseSlashed(text, DayFirst)
	order := MonthFirst
	switch {
	case month && day:
		if monthMS != dayMS {
			d.twice = append(d.twice, twice{row, dayMS})
			if d.doubt == "" {
				d.doubt = text
			}
		}
		return nil
	case day:
		order = DayFirst
	}
	if d.order == "" {
		d.order, d.told = order, fmt.Sprintf("%s in line %d", text, line)
	}
	if d.order != order {
		return d.impossible(text)
	}
	return nil
}

func (d *slashed) impossible(text string) error {
	if d.order == "" {
		return fmt.Errorf("time %q is no day with %s, which is taken unless --dates %s is given", text, firstWords[MonthFirst], DayFirst)
	}
	return fmt.Errorf("time %q is no day with %s, which is taken because of %s; --dates %s is the other way", text, firstWords[d.order], d.told, other(d.order))
}

// noDay is the error of a date that no order reads: which is taken is known at the end of the file.
type noDay string

func (text noDay) Error() string { return fmt.Sprintf("time %q: there is no such day", string(text)) }

// note says what was taken, where it matters.
func (d *slashed) note() []string {
	switch {
	case d.doubt == "":
		return nil
	case d.order == "":
		return []string{fmt.Sprintf("dates such as %s are read with %s: none of them shows which it is; --dates %s reads them the other way", d.doubt, firstWords[MonthFirst], DayFirst)}
	}
	return []string{fmt.Sprintf("dates such as %s are read with %s, because of %s", d.doubt, firstWords[d.order], d.told)}
}

// settle reads again what was read with the month first.
func (d *slashed) settle(out []Interaction) {
	if d.order != DayFirst {
		return
	}
	for _, x := range d.twice {
		out[x.row].TimeMS = x.dayMS
	}
}

// follow takes over what a file tells, for those that are read after it, and refuses it where one before was read the other way.
func (d *slashed) follow(file *slashed) error {
	if d.order == "" && d.doubt != "" && file.order == DayFirst {
		return fmt.Errorf("1: dates have %s, because of %s, and in a file before %s was read with %s: say --dates %s", firstWords[DayFirst], file.told, d.doubt, firstWords[MonthFirst], DayFirst)
	}
	if d.order == "" && file.order != "" {
		d.order, d.told = file.order, file.told
		if d.told != "--dates" {
			d.told += " of a file before"
		}
	}
	if d.doubt == "" {
		d.doubt = file.doubt
	}
	return nil
}

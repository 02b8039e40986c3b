package evaluation

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/cespare/xxhash/v2"

	"nudge/models"
)

// Columns says where a file's interactions are: by the header's name, or by number from 1. Empty ones are looked for under the usual names,
// and without a header taken in the order user, item, time.
type Columns struct {
	User, Item, Time string             // Time may be NoTime
	Event            string             // of a type; "" for none
	Events           map[string]float64 // weight of each type; others are passed over
	Targets          []string           // types that are asked for; none: all
	Rating           string
	AtLeast          float64 // rating; others are passed over
	Dates            string  // DayFirst or MonthFirst, of such as 05/02/2011; "": as the files show
}

// NoTime, for a time's column, says that the file's order is the order of time.
const NoTime = "none"

// usual are the names of columns in the formats that data sets come in, as plain has them. Of several that a header has, the first one here is the time.
var usual = map[string][]string{
	"user": {"user", "userid", "uid", "session", "sessionid", "visitor", "visitorid", "customer", "customerid", "memberid", "shopperid", "reviewerid", "usersession"},
	"item": {"item", "itemid", "product", "productid", "movieid", "articleid", "sku", "asin", "stockcode", "iid"},
	"time": {"timestamp", "unixtime", "unixreviewtime", "time", "ts", "eventtime", "eventtimestamp", "datetime", "timestampms", "timems", "createdat", "created", "createtime",
		"occurredat", "when", "date", "eventdate", "orderdate", "purchasedate", "invoicedate", "reviewtime"},
	"event":  {"event", "eventtype", "eventname", "behavior", "behaviour", "behaviortype", "type", "action"},
	"rating": {"rating", "score", "stars"},
}

// plain is a column's name without case and signs: created_at, Created At and createdAt are one.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
}

// Reader gives the users and items of all files that it reads their numbers.
type Reader struct {
	Columns Columns
	Passed  int      // lines passed over, for their event or rating
	Headers []string // lines that were taken for headers by their looks alone
	Taken   []string // of each file: which columns were taken for what
	Notes   []string // of each file: what else was made of it

	users  map[string]int
	items  map[string]models.Item
	byName []string // items' ids
	logs   [][]Interaction
	added  []Interaction // of the file that Add adds to
	note   []string      // of the file that is read
	types  map[string]bool
	dates  slashed // of the files before, as far as they tell
}

// NewReader returns a reader.
func NewReader(c Columns) *Reader {
	return &Reader{Columns: c, users: map[string]int{}, items: map[string]models.Item{}, types: map[string]bool{}}
}

// Users and Items are the numbers of them met so far.
func (r *Reader) Users() int { return len(r.users) }

// Unmet are the types of Columns.Events that no interaction had.
func (r *Reader) Unmet() (types []string) {
	for name := range r.Columns.Events {
		if !r.types[name] {
			types = append(types, name)
		}
	}
	slices.Sort(types)
	return types
}

// Items is how many there are.
func (r *Reader) Items() int { return len(r.items) }

// Read reads a file: CSV, TSV, or separated by blanks, plain or gzip.
func (r *Reader) Read(path string) error {
	in, closeFile, err := open(path)
	if err != nil {
		return err
	}
	defer closeFile()
	log, taken, err := r.read(in)
	if err != nil {
		return fmt.Errorf("%s:%w", path, err)
	}
	r.Taken = append(r.Taken, path+": "+taken)
	for _, note := range r.note {
		r.Notes = append(r.Notes, path+": "+note)
	}
	r.logs = append(r.logs, log)
	return nil
}

// open opens a file, plain or gzip.
func open(path string) (in *bufio.Reader, closeFile func() error, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	in = bufio.NewReaderSize(f, 1<<16)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			f.Close()
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		in = bufio.NewReaderSize(z, 1<<16)
	}
	return in, f.Close, nil
}

type at struct{ user, item, time, event, rating int }

// read reads a file, and says which columns it took for what.
func (r *Reader) read(in *bufio.Reader) (out []Interaction, taken string, err error) {
	before, first, err := firstLine(in)
	one := before + 1
	if err != nil {
		return nil, "", fmt.Errorf("%d: %w", one, err)
	}
	if err := table(first); err != nil {
		return nil, "", fmt.Errorf("%d: %w", one, err)
	}
	sep := separator(first)
	head := split(first, sep)
	where, skip, err := r.find(head)
	if err != nil {
		return nil, "", fmt.Errorf("%d: %w", one, err)
	}
	if !skip && where.looksLikeHeader(head, split(secondLine(in), sep)) {
		skip = true
		r.Headers = append(r.Headers, first)
	}
	if err := where.timed(head, &r.Columns, skip); err != nil {
		return nil, "", fmt.Errorf("%d: %w", one, err)
	}
	type fault struct {
		line int
		err  error
	}
	var wrong []fault
	var when times
	dates := slashed{order: r.dates.order, told: r.dates.told}
	if r.Columns.Dates != "" {
		dates.order, dates.told = r.Columns.Dates, "--dates"
	}
	var nobody, firstNobody int // rows without a customer or an item
	rows := newRowReader(in, sep, before)
	for {
		n, fields, err := rows.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, "", fmt.Errorf("%d: %w", n, err)
		}
		if n == one && skip || len(fields) == 0 {
			continue
		}
		x, ok, err := r.interaction(fields, where)
		if errors.Is(err, errNobody) {
			if nobody++; nobody == 1 {
				firstNobody = n
			}
			continue
		}
		if err == nil && ok && where.time >= 0 {
			err = dates.add(n, len(out), fields[where.time])
		}
		if err != nil {
			if wrong = append(wrong, fault{n, err}); len(wrong) == 5 {
				break
			}
			continue
		}
		if !ok {
			r.Passed++
			continue
		}
		x.Row = len(out)
		out = append(out, x)
	}
	for _, x := range wrong {
		if text := noDay(""); errors.As(x.err, &text) {
			x.err = dates.impossible(string(text))
		}
		err = errors.Join(err, fmt.Errorf("%d: %w", x.line, x.err))
	}
	if err != nil {
		return nil, "", err
	}
	if len(out) == 0 && nobody > 0 {
		return nil, "", fmt.Errorf("%d: %w", firstNobody, errNobody)
	}
	if len(out) == 0 {
		return nil, "", errors.New("1: no interaction: is it the right file, and are --events or --at-least not too strict?")
	}
	if err := r.dates.follow(&dates); err != nil {
		return nil, "", err
	}
	dates.settle(out)
	for i := range out {
		if !out[i].Untimed {
			when.add(out[i].TimeMS)
		}
	}
	r.note = slices.Concat(rows.notes(), dates.note(), when.notes())
	if nobody > 0 {
		r.note = append(r.note, fmt.Sprintf("%d rows with an empty customer or item are passed over, the first in line %d", nobody, firstNobody))
	}
	return out, where.taken(head, skip), nil
}

// looksLikeHeader says whether the first of two lines can be no interaction like the second: its time is none, or it is without a digit where customer or item have one.
func (w *at) looksLikeHeader(first, second []string) bool {
	if len(first) != len(second) {
		return false
	}
	if w.time >= 0 {
		_, err := parseTime(first[w.time])
		_, next := parseTime(second[w.time])
		return err != nil && next == nil
	}
	digits := func(s string) bool { return strings.ContainsAny(s, "0123456789") }
	return !slices.ContainsFunc(first, digits) && (digits(second[w.user]) || digits(second[w.item]))
}

// find looks the columns up in the first line, and says whether that is a header.
func (r *Reader) find(head []string) (w at, header bool, err error) {
	names := make([]string, len(head))
	for i := range head {
		names[i] = strings.ToLower(name(head, i))
	}
	index := func(kind, want string) (int, error) {
		if want == "" {
			return usually(head, kind), nil
		}
		if kind == "time" && want == NoTime {
			return -1, nil
		}
		if n, err := strconv.Atoi(want); err == nil {
			if n < 1 || n > len(head) {
				return -1, fmt.Errorf("--%s %d: the first line has %d columns", kind, n, len(head))
			}
			return n - 1, nil
		}
		i := slices.Index(names, strings.ToLower(want))
		if i < 0 {
			return -1, fmt.Errorf("--%s %s: the first line has no such column, but %s", kind, want, strings.Join(head, ", "))
		}
		header = true
		return i, nil
	}
	c := &r.Columns
	for _, x := range []struct {
		kind, want string
		to         *int
	}{{"user", c.User, &w.user}, {"item", c.Item, &w.item}, {"time", c.Time, &w.time}, {"event", c.Event, &w.event}, {"rating", c.Rating, &w.rating}} {
		if *x.to, err = index(x.kind, x.want); err != nil {
			return w, false, err
		}
	}
	header = header || usually(head, "user") >= 0 || usually(head, "item") >= 0 || usually(head, "time") >= 0
	if !header {
		w.byPlace(head, c)
	}
	if c.Events == nil {
		w.event = -1
	} else if w.event < 0 {
		return w, false, errors.New("--events: which column holds the type? say so with --event NAME or --event NUMBER")
	}
	if c.AtLeast == 0 {
		w.rating = -1
	} else if w.rating < 0 {
		return w, false, errors.New("--at-least: which column holds the rating? say so with --rating NAME or --rating NUMBER")
	}
	if w.user < 0 || w.item < 0 {
		return w, false, fmt.Errorf("which columns hold customer and item? say so with --user and --item, by name or number; the first line has %s", strings.Join(head, ", "))
	}
	return w, header, nil
}

// name is a column's name in the header.
func name(head []string, i int) string {
	name, _, _ := strings.Cut(strings.Trim(strings.TrimPrefix(head[i], "\ufeff"), `" `), ":") // RecBole's user_id:token
	return name
}

// usually is the column that has a usual name, -1 for none: the first of them, but for the time, which the more telling name has.
func usually(head []string, kind string) int {
	best, rank := -1, len(usual[kind])
	for i := range head {
		if at := slices.Index(usual[kind], plain(name(head, i))); at >= 0 && at < rank {
			if best, rank = i, at; kind != "time" {
				return best
			}
		}
	}
	return best
}

// timed refuses a header without a known time that has columns of which one may be it: the file's order is taken for time only where that was said, or
// nothing else can be.
func (w *at) timed(head []string, c *Columns, header bool) error {
	if !header || w.time >= 0 || c.Time == NoTime {
		return nil
	}
	for i := range head {
		if i == w.user || i == w.item || i == w.event || i == w.rating || i == usually(head, "event") || i == usually(head, "rating") {
			continue
		}
		return fmt.Errorf("which column holds the time? say so with --time COLUMN, or --time none if the file's order is that of time; the header has %s", strings.Join(head, ", "))
	}
	return nil
}

// taken says in a line which columns are what.
func (w *at) taken(head []string, header bool) string {
	of := func(kind string, i int) string {
		switch {
		case i >= 0 && header:
			return kind + " is " + name(head, i)
		case i >= 0:
			return kind + " is column " + strconv.Itoa(i+1)
		case kind == "time":
			return "time is the file's order"
		}
		return kind + " is none"
	}
	s := strings.Join([]string{of("user", w.user), of("item", w.item), of("time", w.time), of("event", w.event)}, ", ")
	if w.rating >= 0 {
		s += ", " + of("rating", w.rating)
	}
	return s
}

// byPlace guesses the columns of a file without a header: the time is the one that looks like one, customer and item are the first two others.
func (w *at) byPlace(first []string, c *Columns) {
	taken := func(i int) bool { return i == w.user || i == w.item || i == w.time || i == w.event || i == w.rating }
	for i := len(first) - 1; i >= 0 && c.Time == "" && w.time < 0; i-- {
		if !taken(i) && looksLikeTime(first[i]) {
			w.time = i
		}
	}
	if c.Time == "" && w.time < 0 && len(first) == 3 && !taken(2) { // counted otherwise, from 0 or 1 on
		if _, err := parseTime(first[2]); err == nil {
			w.time = 2
		}
	}
	if len(first) > 4 && (c.User == "" || c.Item == "") {
		return // too many to guess
	}
	for _, x := range []struct {
		want string
		to   *int
	}{{c.User, &w.user}, {c.Item, &w.item}} {
		for i := 0; i < len(first) && x.want == "" && *x.to < 0; i++ {
			if !taken(i) {
				*x.to = i
			}
		}
	}
}

// looksLikeTime says whether a field is a date, or a number of seconds between 1990 and 2100 or of parts of them.
func looksLikeTime(s string) bool {
	if x, err := strconv.ParseFloat(s, 64); err == nil {
		for _, unit := range []float64{1, 1e3, 1e6, 1e9} {
			if x > 631e6*unit && x < 4.1e9*unit {
				return true
			}
		}
		return false
	}
	_, err := parseDate(s)
	return err == nil
}

func (r *Reader) interaction(fields []string, w at) (x Interaction, ok bool, err error) {
	if most := max(w.user, w.item, w.time, w.event, w.rating); most >= len(fields) {
		return x, false, fmt.Errorf("%d columns, want at least %d", len(fields), most+1)
	}
	x.Weight = 1
	if w.event >= 0 {
		weight, ok := r.Columns.Events[fields[w.event]]
		if !ok {
			return x, false, nil
		}
		x.Weight = float32(weight)
		r.types[fields[w.event]] = true
		x.NoTarget = len(r.Columns.Targets) > 0 && !slices.Contains(r.Columns.Targets, fields[w.event])
	}
	if w.rating >= 0 {
		stars, err := strconv.ParseFloat(fields[w.rating], 64)
		if err != nil {
			return x, false, fmt.Errorf("rating %q is no number", fields[w.rating])
		}
		if stars < r.Columns.AtLeast {
			return x, false, nil
		}
	}
	if w.time >= 0 {
		if x.TimeMS, err = parseTime(fields[w.time]); err != nil {
			return x, false, err
		}
	} else {
		x.Untimed = true
	}
	if x.User, x.Item, err = r.number(fields[w.user], fields[w.item]); err != nil {
		return x, false, err
	}
	return x, true, nil
}

var errNobody = errors.New("an empty customer or item")

// number gives a customer and an item their numbers.
func (r *Reader) number(user, item string) (u int, i models.Item, err error) {
	if item == "" || user == "" {
		return 0, 0, errNobody
	}
	u, ok := r.users[user]
	if !ok {
		u = len(r.users)
		r.users[user] = u
	}
	if i, ok = r.items[item]; !ok {
		if len(r.items) == models.MaxItems {
			return 0, 0, fmt.Errorf("more than %d items", models.MaxItems)
		}
		i = models.Item(len(r.items))
		r.items[item] = i
		r.byName = append(r.byName, item)
	}
	return u, i, nil
}

// Add takes in an interaction of a log in another format; EndFile ends the file that it is of.
func (r *Reader) Add(user, item, event string, timeMS int64, weight float64) error {
	u, i, err := r.number(user, item)
	if err != nil {
		return err
	}
	r.types[event] = true
	r.added = append(r.added, Interaction{User: u, Item: i, TimeMS: timeMS, Row: len(r.added), Weight: float32(weight),
		NoTarget: len(r.Columns.Targets) > 0 && !slices.Contains(r.Columns.Targets, event)})
	return nil
}

// EndFile ends a file of interactions that were added.
func (r *Reader) EndFile(name string) error {
	if len(r.added) == 0 {
		return fmt.Errorf("%s: no interaction", name)
	}
	r.logs = append(r.logs, r.added)
	r.added = nil
	return nil
}

// Order gives the items the numbers of their place in the order of a seeded hash of their ids, in all that was read.
func (r *Reader) Order(seed uint64) {
	type hashed struct {
		hash uint64
		was  int
	}
	all := make([]hashed, len(r.byName))
	for i, id := range r.byName {
		all[i] = hashed{xxhash.Sum64String(strconv.FormatUint(seed, 16) + "/" + id), i}
	}
	slices.SortFunc(all, func(a, b hashed) int {
		switch {
		case a.hash < b.hash:
			return -1
		case a.hash > b.hash:
			return 1
		}
		return strings.Compare(r.byName[a.was], r.byName[b.was])
	})
	now := make([]models.Item, len(all))
	names := make([]string, len(all))
	for n, x := range all {
		now[x.was] = models.Item(n)
		names[n] = r.byName[x.was]
	}
	r.byName = names
	for id, i := range r.items {
		r.items[id] = now[i]
	}
	for _, log := range r.logs {
		for i := range log {
			log[i].Item = now[log[i].Item]
		}
	}
}

// Logs returns what was read, in two parts: of the first n files, and of the others. Rows are counted on through all files of a part.
func (r *Reader) Logs(n int) (first, rest []Interaction) {
	join := func(logs [][]Interaction) (all []Interaction) {
		for _, log := range logs {
			for _, x := range log {
				x.Row = len(all)
				all = append(all, x)
			}
		}
		return all
	}
	return join(r.logs[:n]), join(r.logs[n:])
}

package evaluation

import (
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"nudge/models"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, c Columns, path string) (*Reader, error) {
	t.Helper()
	r := NewReader(c)
	return r, r.Read(path)
}

func TestFormats(t *testing.T) {
	for name, x := range map[string]struct {
		columns Columns
		text    string
	}{
		"blanks":            {Columns{}, "u1 i1\nu1 i2\nu2 i1\n"},
		"tabs and header":   {Columns{}, "SessionId\tItemId\tTime\nu1\ti1\t1.5\nu1\ti2\t2\nu2\ti1\t3\n"},
		"types in header":   {Columns{}, "user_id:token\titem_id:token\trating:float\ttimestamp:float\nu1\ti1\t3\t1\nu1\ti2\t4\t2\nu2\ti1\t5\t3\n"},
		"by number":         {Columns{User: "2", Item: "1", Time: "3"}, "i1,u1,1\ni2,u1,2\ni1,u2,3\n"},
		"unlike names":      {Columns{User: "1", Item: "2"}, "cust,prod\nu1,i1\nu1,i2\nu2,i1\n"},
		"unlike time":       {Columns{User: "1", Item: "2", Time: "3"}, "cust,prod,1st seen\nu1,i1,1\nu1,i2,2\nu2,i1,3\n"},
		"by name, quoted":   {Columns{User: "who", Item: "what", Time: "when"}, "what;who;when\n\"i1\";u1;2024-01-01\ni2;u1;2024-01-02\ni1;u2;2024-01-02T10:00:00Z\n"},
		"windows, dates":    {Columns{}, "user,item,time\r\nu1,i1,2024-01-01 10:00:00\r\n\r\nu1,i2,2024-01-01 10:00:01\r\nu2,i1,2024-01-01 10:00:02\r\n"},
		"events":            {Columns{User: "1", Item: "2", Event: "3", Events: map[string]float64{"pv": 1}}, "u1,i1,pv\nu1,i9,buy\nu1,i2,pv\nu2,i1,pv\n"},
		"ratings":           {Columns{AtLeast: 4}, "user,item,rating\nu1,i1,4\nu1,i9,3\nu1,i2,5\nu2,i1,4.5\n"},
		"four columns":      {Columns{}, "u1\ti1\t5\t881250949\nu1\ti2\t3\t881250950\nu2\ti1\t3\t881250951\n"},
		"colons":            {Columns{}, "u1::i1::5::978300760\nu1::i2::3::978302109\nu2::i1::3::978301968\n"},
		"time before item":  {Columns{}, "u1,2014-04-07T10:51:09.277Z,i1,0\nu1,2014-04-07T10:54:09.868Z,i2,0\nu2,2014-04-07T10:54:46.998Z,i1,0\n"},
		"retail rocket":     {Columns{}, "timestamp,visitorid,event,itemid,transactionid\n1433221332117,u1,view,i1,\n1433224214164,u1,view,i2,\n1433221999827,u2,view,i1,\n"},
		"counted otherwise": {Columns{}, "u1 i1 1\nu1 i2 2\nu2 i1 3\n"},
		"created_at":        {Columns{}, "user_id,item_id,created_at\nu1,i1,2024-01-01\nu1,i2,2024-01-02\nu2,i1,2024-01-03\n"},
		"telling time":      {Columns{}, "date,user,item,timestamp\nMonday,u1,i1,1\nMonday,u1,i2,2\nMonday,u2,i1,3\n"},
		"no time":           {Columns{Time: NoTime}, "user,item,shelf\nu1,i1,top\nu1,i2,top\nu2,i1,top\n"},
		"byte order marked": {Columns{}, "\ufeffuser,item\nu1,i1\nu1,i2\nu2,i1\n"},
		"marked, no header": {Columns{}, "\ufeffu1,i1,1700000001\nu1,i2,1700000002\nu2,i1,1700000003\n"},
		"comments":          {Columns{}, "\n% bip weighted\n# 3 2 2\nu1 i1 1 1700000001\nu1 i2 1 1700000002\nu2 i1 1 1700000003\n"},
		"lines in quotes":   {Columns{}, "user,item,text,time\nu1,i1,\"fine, \"\"really\"\"\n\nso, u9,i9,i9,3\n\",1\nu1,i2,7\" disk,2\nu2,i1,\"a \"b\" c\",3\n"},
	} {
		r, err := read(t, x.columns, write(t, x.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		log, _ := r.Logs(1)
		var got []string
		for _, e := range log {
			got = append(got, fmt.Sprint(e.User, e.Item))
		}
		if strings.Join(got, ",") != "0 0,0 1,1 0" {
			t.Errorf("%s: %v", name, got)
		}
	}
	for name, x := range map[string]struct {
		columns    Columns
		text, want string
	}{
		"empty":          {Columns{}, "", "the file is empty"},
		"no text":        {Columns{}, "a\x00b\x01,c\n", "this is no text"},
		"one column":     {Columns{}, "user\nu1\n", "which columns hold customer and item?"},
		"many columns":   {Columns{}, "1,2,3,pv,5\n", "which columns hold customer and item?"},
		"no such column": {Columns{User: "nobody"}, "user,item\nu1,i1\n", "--user nobody: the first line has no such column, but user, item"},
		"number too big": {Columns{User: "3"}, "user,item\nu1,i1\n", "--user 3: the first line has 2 columns"},
		"bad time":       {Columns{}, "user,item,time\nu1,i1,yesterday\n", `2: time "yesterday": want seconds`},
		"short line":     {Columns{}, "user,item,time\nu1,i1\n", "2: 2 columns, want at least 3"},
		"no event":       {Columns{Events: map[string]float64{"pv": 1}}, "user,item\nu1,i1\n", "say so with --event"},
		"nothing left":   {Columns{Event: "event", Events: map[string]float64{"pv": 1}}, "user,item,event\nu1,i1,buy\n", "no interaction"},
		"which time":     {Columns{}, "user,item,shelf\nu1,i1,3\n", "1: which column holds the time? say so with --time COLUMN, or --time none if the file's order is that of time; the header has user, item, shelf"},
		"time by looks":  {Columns{User: "1", Item: "2"}, "cust,prod,seen\nu1,i1,3\n", "the header has cust, prod, seen"},
		"no item":        {Columns{}, "user,item\nu1,\n", "2: an empty customer or item"},
		"an open quote":  {Columns{}, "user,item,text\nu1,i1,x\nu1,i2,\"x\nu2,i1,x\n", "which column holds the time?"},
		"open, untimed":  {Columns{Time: NoTime}, "user,item,text\nu1,i1,x\nu1,i2,\"x\nu2,i1,x\n", "3: a quoted field begins here that does not end"},
		"after comments": {Columns{}, "\n% x\nuser,item,time\nu1,i1,soon\n", `4: time "soon"`},
		"objects":        {Columns{}, `{"user":"u1","item":"i1","time":1}` + "\n", "1: this is JSON: want CSV"},
		"sessions":       {Columns{}, `[{"session": 1, "events": [{"aid": 5, "ts": 7}]}]` + "\n", "1: this is JSON: want CSV"},
		"only comments":  {Columns{}, "# nothing\n\n", "the file is empty"},
	} {
		if _, err := read(t, x.columns, write(t, x.text)); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
	}
}

// The order of time is that of the column, whatever its name; and it is said which columns were taken.
func TestColumnsTaken(t *testing.T) {
	for header, want := range map[string]string{
		"user_id,item_id,timestamp":  "user is user_id, item is item_id, time is timestamp, event is none",
		"user_id,item_id,created_at": "user is user_id, item is item_id, time is created_at, event is none",
		"userId,Item Id,Event Time":  "user is userId, item is Item Id, time is Event Time, event is none",
		"customer,sku,date":          "user is customer, item is sku, time is date, event is none",
		"user,item,when":             "user is user, item is item, time is when, event is none",
		"user,item,DateTime":         "user is user, item is item, time is DateTime, event is none",
		"0,i0,1600000000":            "user is column 1, item is column 2, time is column 3, event is none",
	} {
		r, err := read(t, Columns{}, write(t, header+"\nu1,i1,1700000002\nu1,i2,1700000001\n"))
		if err != nil {
			t.Errorf("%s: %v", header, err)
			continue
		}
		if _, taken, _ := strings.Cut(r.Taken[0], ": "); taken != want {
			t.Errorf("%s: %s, want %s", header, taken, want)
		}
		if log, _ := r.Logs(1); log[len(log)-1].TimeMS != 1700000001000 {
			t.Errorf("%s: the last row is of %d, want 1700000001000", header, log[len(log)-1].TimeMS)
		}
	}
	r, err := read(t, Columns{}, write(t, "user,item\nu1,i1\n"))
	if err != nil || !strings.HasSuffix(r.Taken[0], ": user is user, item is item, time is the file's order, event is none") {
		t.Errorf("two columns: %v, %v", r.Taken, err)
	}
}

// A time is one in whatever unit it comes; of each file it is said from when to when it is.
func TestTimes(t *testing.T) {
	for text, want := range map[string]int64{
		"1570000000": 1570000000000, "1570000000.5": 1570000000500, "1570000000123": 1570000000123, "1570000000123456": 1570000000123, "1570000000123456789": 1570000000123,
		"0": 0, "-5": -5000, "-1570000000123456": -1570000000123, "2019-10-02T07:06:40Z": 1570000000000, "2019-10-02 07:06:40 UTC": 1570000000000, "2019-10-02 09:06:40+02:00": 1570000000000,
		"2019-10-02T09:06:40+0200": 1570000000000, "2019-10-02T07:06": 1569999960000, "2019-10-02 07": 1569999600000, "10/2/2019 7:06": 1569999960000, "2019-10-02": 1569974400000,
		"Wed Oct 02 07:06:40 +0000 2019": 1570000000000,
	} {
		if got, err := parseTime(text); got != want || err != nil {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "soon", "NaN", "Inf", "1e300", "2019-13-01"} {
		if got, err := parseTime(text); err == nil {
			t.Errorf("%q: %d, want an error", text, got)
		}
	}
	for text, want := range map[string]string{
		"user,item,time\nu1,i1,1570000000000000\nu1,i2,1570000001000000\n": "from 2019-10-02 07:06:40 to 2019-10-02 07:06:41",
		"u1,i1,1570000000000000\nu1,i2,1570000001000000\n":                 "from 2019-10-02 07:06:40 to 2019-10-02 07:06:41",
		"user,item,date\nu1,i1,2019-10-02\nu1,i2,2019-10-03\n":             "from 2019-10-02 00:00:00 to 2019-10-03 00:00:00, days without a time: within one the file's order is taken",
		"user_id,item_id,time_stamp\nu1,i1,829\nu1,i2,1111\n":              "from 1970-01-01 00:13:49 to 1970-01-01 00:18:31, as seconds since 1970: a day of the models is 86,400 of them",
		"u1 i1\nu1 i2\n":                      "",
		"user,item\nu1,i1\nu1,\n,i2\nu1,i2\n": "2 rows with an empty customer or item are passed over, the first in line 3",
		"user,item,text,time\nu1,i1,\"a\nb\",1570000000\nu1,i2,c,1570000001\n": "1 lines go on within quotes from the line before; from 2019-10-02 07:06:40 to 2019-10-02 07:06:41",
	} {
		path := write(t, text)
		r, err := read(t, Columns{}, path)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := strings.ReplaceAll(strings.Join(r.Notes, "; "), path+": ", ""); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// A file's dates begin all with the day, or all with the month: as is said, as one of them shows, or as is taken, and told, where nothing does.
func TestSlashedDates(t *testing.T) {
	for _, x := range []struct{ dates, text, note, wrong string }{
		{"", "05/02/2011 01/03/2011", "dates such as 05/02/2011 are read with the month first: none of them shows which it is; --dates day-first reads them the other way", ""},
		{DayFirst, "05/02/2011 01/03/2011", "dates such as 05/02/2011 are read with the day first, because of --dates", ""},
		{"", "05/02/2011 25/02/2011 01/03/2011", "dates such as 05/02/2011 are read with the day first, because of 25/02/2011 in line 3", ""},
		{"", "02/25/2011 05/02/2011", "dates such as 05/02/2011 are read with the month first, because of 02/25/2011 in line 2", ""},
		{"", "25/02/2011 02/02/2011", "", ""},
		{"", "2011-02-25 03/03/2011", "", ""},
		{"", "02/25/2011 25/02/2011", "", `3: time "25/02/2011" is no day with the month first, which is taken because of 02/25/2011 in line 2; --dates day-first is the other way`},
		{MonthFirst, "25/02/2011", "", `2: time "25/02/2011" is no day with the month first, which is taken because of --dates; --dates day-first is the other way`},
		{"", "30/02/2011 25/02/2011", "", `2: time "30/02/2011" is no day with the day first, which is taken because of 25/02/2011 in line 3; --dates month-first is the other way`},
		{"", "31/31/2011 05/02/2011", "", `2: time "31/31/2011" is no day with the month first, which is taken unless --dates day-first is given`},
	} {
		path := write(t, "user item time\nu1 i1 "+strings.ReplaceAll(x.text, " ", "\nu1 i1 ")+"\n")
		r, err := read(t, Columns{Dates: x.dates}, path)
		if x.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), x.wrong) {
				t.Errorf("%s, %q: %v, want %q", x.text, x.dates, err, x.wrong)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s, %q: %v", x.text, x.dates, err)
			continue
		}
		if all := strings.Join(r.Notes, "\n"); x.note != "" && !strings.Contains(all, x.note) || x.note == "" && strings.Contains(all, "first") {
			t.Errorf("%s, %q: %s, want %q", x.text, x.dates, all, x.note)
		}
		log, _ := r.Logs(1)
		for k, text := range strings.Fields(x.text) {
			order := MonthFirst
			if strings.Contains(x.note, firstWords[DayFirst]+", because") || text == "25/02/2011" {
				order = DayFirst
			}
			if want, ok := parseSlashed(text, order); ok && log[k].TimeMS != want {
				t.Errorf("%s, %q: %s is %d, want %d", x.text, x.dates, text, log[k].TimeMS, want)
			}
		}
	}
	r := NewReader(Columns{})
	if err := r.Read(write(t, "u1,i1,05/02/2011\n")); err != nil {
		t.Fatal(err)
	}
	if err := r.Read(write(t, "u1,i1,25/02/2011\n")); err == nil || !strings.Contains(err.Error(), "in a file before 05/02/2011 was read with the month first: say --dates day-first") {
		t.Errorf("two files: %v", err)
	}
}

// What is of no day is not bounded by one; of a day, who reads the figures learns how much was not heard.
func TestNoTimeIsNoDay(t *testing.T) {
	var text strings.Builder
	for k := range 500 {
		fmt.Fprintf(&text, "u1 i%d\n", k)
	}
	for _, x := range []struct {
		text            string
		learned, beyond int
	}{{text.String(), 500, 0}, {strings.ReplaceAll(text.String(), "\n", " 1570000000\n"), models.DailyItems, 500 - models.DailyItems}} {
		r, err := read(t, Columns{}, write(t, x.text))
		if err != nil {
			t.Fatal(err)
		}
		log, _ := r.Logs(1)
		m := NewTimed(&lastItem{}, noClock)
		if _, err := TestThenLearn(t.Context(), m, log, r.Users(), Protocol{K: 20}); err != nil {
			t.Fatal(err)
		}
		if m.Learned != x.learned || Beyond(log) != x.beyond {
			t.Errorf("learned %d, beyond %d, want %d, %d", m.Learned, Beyond(log), x.learned, x.beyond)
		}
	}
}

// Who has met most of what is in demand is still shown the rest of it.
func TestSameToEverybodyIsRankedFar(t *testing.T) {
	for _, name := range []string{"popularity", "trending"} {
		m, _ := Make(name)
		for i := range 500 {
			for n := range 500 - i {
				m.Learn(&Interaction{User: n, Item: models.Item(i), TimeMS: 1_570_000_000_000, Weight: 1, Counts: true}, nil)
			}
		}
		if got := rank(m.Rank(&models.Query{}), 310, func(i models.Item) bool { return i < 300 }); got != 11 {
			t.Errorf("%s: the rank of 310 for who met 300 of 500 items: %d, want 11", name, got)
		}
	}
}

// Of equal scores the target is the last; what is not scored, and what is filtered out, is missed.
func TestRank(t *testing.T) {
	found := []models.Candidate{{Item: 1, Score: 2}, {Item: 2, Score: 1}, {Item: 3, Score: 1}, {Item: 4, Score: 0}}
	out := func(i models.Item) bool { return i == 1 }
	for _, x := range []struct {
		target models.Item
		out    func(models.Item) bool
		want   int
	}{{1, nothing, 1}, {2, nothing, 3}, {3, out, 2}, {1, out, missed}, {4, nothing, missed}, {5, nothing, missed}} {
		if got := rank(found, x.target, x.out); got != x.want {
			t.Errorf("rank of %d: %d, want %d", x.target, got, x.want)
		}
	}
}

// Popularity is a count: what was met as often scores the same, whenever that was, and the first are those of all.
func TestPopularityIsACount(t *testing.T) {
	m, _ := Make("popularity")
	want := map[models.Item]float32{}
	at := int64(1_700_000_000_000)
	for n := range 20_000 {
		i := models.Item(n * n % 7919 % 401)
		at += 3600_000
		want[i]++
		m.Learn(&Interaction{Item: i, TimeMS: at, Weight: 1, Counts: true}, nil)
	}
	counts := slices.Sorted(maps.Values(want))
	slices.Reverse(counts)
	for k, c := range m.Rank(&models.Query{}) {
		if c.Score != want[c.Item] || c.Score != counts[k] {
			t.Fatalf("place %d: item %d with %v, was met %v times; the count of that place is %v", k, c.Item, c.Score, want[c.Item], counts[k])
		}
	}
}

// shop is a log in which what comes next depends on what came before: the items stand in a ring, and sessions walk along it.
func shop(t *testing.T, sessions int, seed uint64) (r *Reader, train, test []Interaction) {
	var text [2]strings.Builder
	state := seed
	next := func(n int) int {
		state = state*6364136223846793005 + 1442695040888963407
		return int(state>>33) % n
	}
	at := 1_700_000_000
	for s := range sessions {
		to := &text[0]
		if s >= sessions*4/5 {
			to = &text[1]
		}
		item := next(60)
		for range 2 + next(5) {
			at += next(40)
			fmt.Fprintf(to, "s%d,item-%d,%d\n", s, item*item%7919, at)
			item = (item + 1 + next(3)) % 60
		}
	}
	r = NewReader(Columns{})
	for i := range text {
		if err := r.Read(write(t, text[i].String())); err != nil {
			t.Fatal(err)
		}
	}
	r.Order(1)
	train, test = r.Logs(1)
	return r, train, test
}

func TestModelsBeatChance(t *testing.T) {
	r, train, test := shop(t, 600, 7)
	for _, name := range Names() {
		m, _ := Make(name)
		f, err := Sessions(context.Background(), m, train, test, r.Users(), Protocol{K: 5})
		if err != nil {
			t.Fatal(err)
		}
		hr := f[ReadingC].Sum().means().HR
		t.Logf("%-24s C hr@5 %.3f", name, hr)
		switch name {
		case "co-occurrence", "neighbours", "blend", "blend-without-sequence":
			if hr < .6 { // three items come next; five of 60 by chance are .08
				t.Errorf("%s: hr@5 %.3f", name, hr)
			}
		case "last-item":
			if hr != 0 {
				t.Errorf("%s: hr@5 %.3f of items that are not in the session", name, hr)
			}
		}
	}
}

// A query is the prefix and the time of its last click: when the target comes changes no answer.
func TestTargetsTimeIsNotSeen(t *testing.T) {
	r, train, test := shop(t, 300, 3)
	last := map[int]int{}
	for i, x := range test {
		last[x.User] = i
	}
	later := append([]Interaction(nil), test...)
	for _, i := range last {
		later[i].TimeMS += 12345
	}
	answers := func(test []Interaction) *recorder {
		m, _ := Make("blend")
		rec := &recorder{Recommender: m, said: map[string]string{}}
		if _, err := Sessions(context.Background(), rec, train, test, r.Users(), Protocol{K: 5}); err != nil {
			t.Fatal(err)
		}
		return rec
	}
	a, b := answers(test), answers(later)
	if !reflect.DeepEqual(a.said, b.said) || len(a.said) == 0 {
		t.Errorf("%d and %d answers differ", len(a.said), len(b.said))
	}
}

// What is met together stands apart in a diverse list, and of what is worth the same the target comes last.
func TestDiverseLists(t *testing.T) {
	d := newDiverse(1)
	for k := range 8 {
		before := &models.Query{}
		for _, i := range []models.Item{1, 2} {
			d.learn(&Interaction{User: k, Item: i, Weight: 1, Counts: true}, before)
			before = &models.Query{Items: []models.Item{i}, TimesMS: []int64{0}}
		}
	}
	found := []models.Candidate{{Item: 9, Score: 9}, {Item: 3, Score: .05}, {Item: 2, Score: .9}, {Item: 1, Score: 1}, {Item: 4, Score: .05}, {Item: 5}}
	out := func(i models.Item) bool { return i == 9 }
	for target, want := range map[models.Item]string{4: "[1 3 4 2]", 3: "[1 4 3 2]", 1: "[1 3 4 2]"} {
		var items []models.Item
		for _, c := range d.choose(found, target, out, 10) {
			items = append(items, c.Item)
		}
		if got := fmt.Sprint(items); got != want {
			t.Errorf("the list is %s where %d is asked for, want %s", got, target, want)
		}
	}
	if list := d.choose(found, 4, out, 2); len(list) != 2 || rank(list, 3, nothing) != 2 || rank(list, 4, nothing) != missed {
		t.Errorf("of a list of 2: %v", list)
	}
}

// Evenness is the share of the catalogue that lists are as varied as.
func TestEvenness(t *testing.T) {
	c := newCrowd()
	for i := range models.Item(8) {
		c.add(&Interaction{Item: i})
	}
	for _, x := range []struct {
		shown map[models.Item]int
		want  float64
	}{{nil, 0}, {map[models.Item]int{1: 7}, 1. / 8}, {map[models.Item]int{1: 3, 2: 3}, 2. / 8}, {map[models.Item]int{1: 2, 2: 1, 3: 1}, math.Sqrt(8) / 8}} {
		if got := (&Figures{crowd: c, shown: x.shown}).Evenness(); math.Abs(got-x.want) > 1e-9 {
			t.Errorf("lists of %v: evenness %v, want %v", x.shown, got, x.want)
		}
	}
}

type recorder struct {
	Recommender
	said map[string]string
}

func (r *recorder) Rank(q *models.Query) []models.Candidate {
	found := r.Recommender.Rank(q)
	r.said[fmt.Sprint(q.Items, q.NowMS)] = fmt.Sprint(found)
	return found
}

// Ids mean nothing: another hash changes no more than the order of what scores the same.
func TestSeedsChangeNothing(t *testing.T) {
	r, train, test := shop(t, 400, 5)
	for _, name := range []string{"co-occurrence", "neighbours", "blend-without-sequence"} {
		var hrs []float64
		for seed := range uint64(3) {
			r.Order(seed)
			train, test = r.Logs(1)
			m, _ := Make(name)
			f, err := Sessions(context.Background(), m, train, test, r.Users(), Protocol{K: 5})
			if err != nil {
				t.Fatal(err)
			}
			hrs = append(hrs, f[ReadingA].Sum().means().HR)
		}
		for _, hr := range hrs[1:] {
			if math.Abs(hr-hrs[0]) > .02 { // some 250 targets
				t.Errorf("%s: hr %v under three seeds", name, hrs)
			}
		}
	}
}

func TestSameLogSameFigures(t *testing.T) {
	r, train, test := shop(t, 200, 9)
	for _, name := range Names() {
		said := func() map[string]string {
			m, _ := Make(name)
			rec := &recorder{Recommender: m, said: map[string]string{}}
			if _, err := Sessions(context.Background(), rec, train, test, r.Users(), Protocol{K: 5, Learn: true}); err != nil {
				t.Fatal(err)
			}
			return rec.said
		}
		if a, b := said(), said(); !reflect.DeepEqual(a, b) {
			t.Errorf("%s: two runs over the same log differ", name)
		}
	}
}

// A robot that clicks about moves the others' figures little: a day of one customer teaches so much and no more.
func TestRobot(t *testing.T) {
	r, train, test := shop(t, 4000, 11)
	robot := make([]Interaction, 0, len(train)+100_000)
	robot = append(robot, train...)
	state, at := uint64(1), train[len(train)/2].TimeMS
	for k := range 100_000 {
		state = state*6364136223846793005 + 1442695040888963407
		robot = append(robot, Interaction{User: r.Users(), Item: models.Item(int(state>>33) % r.Items()), TimeMS: at + int64(k)*36, Row: len(train) + k, Weight: 1})
	}
	hr := func(name string, train []Interaction) float64 {
		m, _ := Make(name)
		f, err := Sessions(context.Background(), m, train, test, r.Users()+1, Protocol{K: 2})
		if err != nil {
			t.Fatal(err)
		}
		return f[ReadingC].Sum().means().HR
	}
	for _, name := range []string{"blend-without-sequence", "co-occurrence", "trending"} {
		with, without := hr(name, robot), hr(name, train)
		t.Logf("%s: hr@2 %.4f, with a robot %.4f", name, without, with)
		if without-with > .005 {
			t.Errorf("%s: hr@2 %.4f, with a robot %.4f", name, without, with)
		}
	}
}

func TestBandit(t *testing.T) {
	for _, name := range Worlds {
		w := Synthetic(name, 1)
		w.Moments = w.Moments[:5000]
		_, constant := BestConstant(w)
		for seed := range uint64(2) {
			r := Play(w, NewBanditPolicy(w, seed), noClock)
			again := Play(w, NewBanditPolicy(w, seed), noClock)
			if r.Reward != again.Reward {
				t.Errorf("%s: reward %v, and %v with the same seed", name, r.Reward, again.Reward)
			}
			t.Logf("%s: reward %.3f, regret %.3f; best constant arm %.3f", name, r.Reward, r.Regret, constant)
			if r.Reward < constant+.3 {
				t.Errorf("%s: reward %.3f, the best constant arm has %.3f", name, r.Reward, constant)
			}
		}
	}
}

func noClock() time.Duration { return 0 }

package simulate

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
)

// Shop is the configuration of a World. Start from Default; every field means what it says, zero included.
type Shop struct {
	Seed     uint64
	Shoppers int // known shoppers alive at most at one time
	Items    int // items in the catalogue at one time
	Start    time.Time
	Nature   Nature

	// EventsPerSecond is the mean rate of the whole shop in ordinary times; shoppers' rhythms are sped up or slowed
	// down to meet it. 0 leaves them natural: about 1.4 events per shopper and day.
	EventsPerSecond float64
	// Crowds are rushes of extra visits, by strangers and known shoppers, in order of time.
	Crowds []Crowd
	// Lapsed is a cohort of regulars who stop buying at a known silence.
	Lapsed Lapsed

	MeanLife       time.Duration // mean time until a shopper leaves for no fault of the shop
	AnonymousShare float64       // of visits that begin without a login
	ReviewShare    float64       // of orders that are reviewed, on average
	ChineseShare   float64       // of shoppers who write, and items that are titled, in Chinese
	OddIDShare     float64       // of shoppers with dots, spaces, stars or Chinese in their id
	EraseShare     float64       // of leavers who ask to be forgotten
	BotShare       float64       // of people who are bots (context.device "bot", more than 60 events a minute)
	StaffShare     float64       // of people who are staff (context.source "staff")

	OutOfOrder float64 // share of records that arrive up to 30 s late
	Late       float64 // share of records that arrive hours late
	Duplicate  float64 // share of records that are sent twice
	Broken     float64 // extra records that are no valid event, as a share of all
	Skewed     float64 // share of people whose clock is wrong; their events carry `sent`. Only for live appends.

	Currency string // written on priced events where not empty

	// Truth gets what only the world knows, as JSON lines. Nil: nothing is written.
	Truth io.Writer
}

// Crowd is a rush: from From on, extra visits bring PerSecond events a second, until the next Crowd of the list. Known is
// the share of them that known shoppers make, as far as there are any who have had a quarter of an hour's rest and have not
// just left a cart; strangers make the others.
type Crowd struct {
	From      time.Time
	PerSecond float64
	Known     float64
}

// Lapsed is a cohort of shoppers who order every Every, to the minute, and then stop, so that their silences reach
// Silence evenly spread over Over after At. It makes a churn decider with a known threshold fire at a known time.
type Lapsed struct {
	Shoppers int
	Every    time.Duration
	Silence  time.Duration
	At       time.Time
	Over     time.Duration
}

// Default returns the shop that is simulated when nobody says otherwise.
func Default() Shop {
	return Shop{
		Seed:           1,
		Shoppers:       2000,
		Items:          1000,
		Start:          time.Date(2026, time.January, 5, 0, 0, 0, 0, time.UTC),
		Nature:         worlds[0].nature,
		MeanLife:       300 * 24 * time.Hour,
		AnonymousShare: 0.3,
		ReviewShare:    0.15,
		ChineseShare:   0.2,
		OddIDShare:     0.01,
		EraseShare:     0.01,
		BotShare:       0.001,
		StaffShare:     0.002,
		OutOfOrder:     0.02,
		Late:           0.001,
		Duplicate:      0.005,
		Broken:         0.001,
	}
}

// Clean returns the shop without out-of-order, late, duplicate, broken and skewed records.
func (s Shop) Clean() Shop {
	s.OutOfOrder, s.Late, s.Duplicate, s.Broken, s.Skewed = 0, 0, 0, 0, 0
	return s
}

// The way into the live phase: a rush of known shoppers whose left carts fall due (after 30 minutes of silence) during the
// first live minutes, a calmer half hour, and the live rate itself, early enough that the visits under way at the first
// live second bring all of it.
const (
	rushLead = 35 * time.Minute
	calmLead = 24 * time.Minute
	liveLead = 3 * time.Minute
)

// History returns the shop with a past of about so many events over span that ends at now, and from now on about
// perSecond events a second. A fifth of the past falls into its last half hour, so that in the first live minutes there
// are carts that were left half an hour ago.
func (s Shop) History(now time.Time, span time.Duration, events int, perSecond float64) Shop {
	s.Start = now.Add(-span)
	n := float64(events)
	rush := 0.1 * n / (rushLead - calmLead).Seconds()
	calm := min(0.1*n/(calmLead-liveLead).Seconds(), perSecond)
	live := 0.75 * liveLead.Seconds() * perSecond
	s.EventsPerSecond = max(0.8*n-live, 0.1*n) / span.Seconds()
	s.Crowds = []Crowd{
		{From: now.Add(-rushLead), PerSecond: rush, Known: 1},
		{From: now.Add(-calmLead), PerSecond: calm, Known: 0.5},
		{From: now.Add(-liveLead), PerSecond: perSecond, Known: 0.5},
	}
	return s
}

// inWords writes the name of a field as people say it: EventsPerSecond as "events per second".
func inWords(field string) string {
	var b strings.Builder
	for i, r := range field {
		if i > 0 && unicode.IsUpper(r) && field[i-1] != '.' {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Validate reports every fault of the configuration.
func (s *Shop) Validate() error {
	var faults []error
	fault := func(field, want string, got any) {
		faults = append(faults, fmt.Errorf("streams/simulate: %s: want %s, got %v", inWords(field), want, got))
	}
	if s.Shoppers < 1 || s.Shoppers > maxShoppers {
		fault("Shoppers", fmt.Sprintf("1 to %d", maxShoppers), s.Shoppers)
	}
	if s.Items < len(categories) || s.Items > maxItems {
		fault("Items", fmt.Sprintf("%d to %d", len(categories), maxItems), s.Items)
	}
	s.Nature.validate(fault)
	if s.Start.UnixMilli() <= 0 {
		fault("Start", "a time after 1970", s.Start)
	}
	if !(s.EventsPerSecond >= 0 && s.EventsPerSecond <= 1e7) {
		fault("EventsPerSecond", "0 to 10,000,000", s.EventsPerSecond)
	}
	for i, c := range s.Crowds {
		if !(c.PerSecond >= 0 && c.PerSecond <= 1e6) {
			fault(fmt.Sprintf("Crowds[%d].PerSecond", i), "0 to 1,000,000", c.PerSecond)
		}
		if !(c.Known >= 0 && c.Known <= 1) {
			fault(fmt.Sprintf("Crowds[%d].Known", i), "a share, 0 to 1", c.Known)
		}
		if i > 0 && c.From.Before(s.Crowds[i-1].From) {
			fault(fmt.Sprintf("Crowds[%d].From", i), "times in order", c.From)
		}
	}
	if l := s.Lapsed; l.Shoppers != 0 {
		if l.Shoppers < 0 || l.Shoppers > s.Shoppers {
			fault("Lapsed.Shoppers", "0 to Shoppers", l.Shoppers)
		}
		if l.Every < time.Hour {
			fault("Lapsed.Every", "at least 1h", l.Every)
		}
		if l.Silence < 0 || l.Over < 0 {
			fault("Lapsed.Silence and Lapsed.Over", "no negative duration", fmt.Sprint(l.Silence, ", ", l.Over))
		}
	}
	if s.MeanLife < 24*time.Hour {
		fault("MeanLife", "at least 24h", s.MeanLife)
	}
	for _, share := range []struct {
		name  string
		value float64
	}{
		{"AnonymousShare", s.AnonymousShare}, {"ReviewShare", s.ReviewShare}, {"ChineseShare", s.ChineseShare},
		{"OddIDShare", s.OddIDShare}, {"EraseShare", s.EraseShare}, {"BotShare", s.BotShare}, {"StaffShare", s.StaffShare},
		{"OutOfOrder", s.OutOfOrder}, {"Late", s.Late}, {"Duplicate", s.Duplicate}, {"Broken", s.Broken}, {"Skewed", s.Skewed},
		{"OutOfOrder + Late + Duplicate + Broken", s.OutOfOrder + s.Late + s.Duplicate + s.Broken},
	} {
		if !(share.value >= 0 && share.value <= 1) {
			fault(share.name, "a share, 0 to 1", share.value)
		}
	}
	if s.Currency != "" && len(s.Currency) != 3 {
		fault("Currency", "three letters of ISO 4217", s.Currency)
	}
	return errors.Join(faults...)
}

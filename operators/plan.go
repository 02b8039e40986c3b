package operators

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"nudge/operators/feature"
)

// Change is what becomes of one part of a pipeline when it is replaced by another.
type Change struct {
	What string `json:"what"` // kept, new, dropped, changed, or refused: the state can't go on under it
	Key  string `json:"key"`  // such as features.user.views_1h
	Why  string `json:"why,omitempty"`
}

// What becomes of a part.
const (
	PlanKept    = "kept"
	PlanNew     = "new"
	PlanDropped = "dropped"
	PlanChanged = "changed"
	PlanRefused = "refused"
)

// Plan says what becomes of the state of a pipeline when another one takes it over. Both must have been validated.
func Plan(old, now *Config) ([]Change, error) {
	changes, err := planFeatures(old, now)
	if err != nil {
		return nil, err
	}
	section := func(name string, a, b any, isNew, isDropped, isChanged string) {
		before, after := entries(a), entries(b)
		for _, key := range slices.Sorted(maps.Keys(after)) {
			at := name + "." + key
			x, there := before[key]
			switch {
			case !there:
				changes = append(changes, Change{PlanNew, at, isNew})
			case !reflect.DeepEqual(x, after[key]):
				changes = append(changes, Change{PlanChanged, at, join(differences(x, after[key]), isChanged)})
			default:
				changes = append(changes, Change{What: PlanKept, Key: at})
			}
		}
		for _, key := range slices.Sorted(maps.Keys(before)) {
			if _, there := after[key]; !there {
				changes = append(changes, Change{PlanDropped, name + "." + key, isDropped})
			}
		}
	}
	section("audiences", old.Audiences, now.Audiences, "each customer enters at their next event or timer", "its members are forgotten, nobody is told that they leave",
		"each customer enters or leaves at their next event or timer")
	section("predictions", old.Predictions, now.Predictions, "it is not known before it has seen outcomes", "what it has learned is left", "it begins anew")
	section("recommenders", old.Recommenders, now.Recommenders, "it takes the models that are there", "its marks on customers are forgotten in time", "")
	section("offers", old.Offers, now.Offers, "no customer is in its cooldown", "timers that it has armed fire no more", "timers that are armed keep their times")
	section("churn", old.Churn, now.Churn, "a customer is watched from their next order", "timers that it has armed fire no more", "timers that are armed keep their times")
	section("budgets", old.Budgets, now.Budgets, "nothing of it is spent", "what was spent is forgotten", "what was spent counts")
	section("ignore", old.Ignore, now.Ignore, "from now on; what was learned stays", "", "from now on")
	section("outputs.features", old.Results, now.Results, "windows of customers that begin from now on, of items and of all together those that close; nudge rebuild takes those that are open, too", "windows that are open are not put out", "from now on")
	heard := heardBy(old)
	for _, name := range heardBy(now) {
		if !slices.Contains(heard, name) {
			changes = append(changes, Change{PlanNew, "trait." + name, "it was not kept: known from a customer's next user.updated, or by nudge rebuild"})
		}
	}
	if a, b := anyHalfLives(old), anyHalfLives(now); a != b && a != (halfLives{}) && b != (halfLives{}) {
		changes = append(changes, Change{PlanChanged, "models", "another half-life: what was learned under the one before is forgotten"})
	}
	if learns(now, viewedTogether) && !learns(old, viewedTogether) {
		changes = append(changes, Change{PlanNew, "models.viewed_together", "nothing was learned for it yet"})
	}
	for _, m := range []struct {
		name    string
		sources []string
	}{{"next_item", []string{nextItem, similarShoppers, sequence}}, {sequence, []string{sequence}}, {choices, []string{choices}}, {goesWith, []string{goesWith}}, {buyAgain, []string{buyAgain}}} {
		if learns(now, m.sources...) && !learns(old, m.sources...) {
			changes = append(changes, Change{PlanNew, "models." + m.name, "nothing was learned for it yet"})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now.Recommenders)) {
		if before, there := old.Recommenders[name]; there && before.Rank.Goal == "" && now.Recommenders[name].Rank.Goal != "" {
			changes = append(changes, Change{PlanNew, "models.clicks." + name, "it ranks by the order of the sources until it has learned what becomes of its lists"})
		}
	}
	if old.Timezone != now.Timezone {
		changes = append(changes, Change{PlanChanged, "timezone", fmt.Sprintf("%s to %s: days and weeks of calendar windows and of budgets begin at another time", old.Timezone, now.Timezone)})
	}
	if old.Holdout != now.Holdout {
		changes = append(changes, Change{PlanChanged, "holdout", fmt.Sprintf("%v to %v: of the customers held out before, those below the smaller share stay so", old.Holdout, now.Holdout)})
	}
	return changes, nil
}

// heardBy lists the traits that a pipeline keeps: those that it names.
func heardBy(c *Config) []string {
	p, err := New(*c, nil)
	if err != nil {
		return nil
	}
	return p.heard
}

// anyHalfLives are the half-lives of the recommenders, which all have the same.
func anyHalfLives(c *Config) (h halfLives) {
	for _, r := range c.Recommenders {
		h = halfLives{together: r.HalfLife.MS(), trends: r.TrendHalfLife.MS()}
	}
	return h
}

// learns says whether some recommender takes candidates of one of the sources.
func learns(c *Config, sources ...string) bool {
	for _, r := range c.Recommenders {
		for _, source := range sources {
			if slices.Contains(r.Candidates, source) {
				return true
			}
		}
	}
	return false
}

// planFeatures goes by what rows hold and not by names: a feature that is renamed keeps its state.
func planFeatures(old, now *Config) (changes []Change, err error) {
	zone := time.UTC
	for _, entity := range entities {
		var before, after *feature.Set
		if before, err = newFeatures(entity, old.Features, old.Results, zone); err != nil {
			return nil, err
		}
		if after, err = newFeatures(entity, now.Features, now.Results, zone); err != nil {
			return nil, err
		}
		for i := range after.Len() {
			c := Change{What: PlanKept, Key: "features." + entity + "." + after.Name(i)}
			kept, warmMS := after.Origin(i, before)
			was, named := before.Find(after.Name(i))
			switch {
			case kept && warmMS > 0 && named:
				c.What, c.Why = PlanChanged, "its tiles are kept; it covers its longer window after another "+Duration(warmMS*int64(time.Millisecond)).String()
			case kept && warmMS > 0:
				c.What, c.Why = PlanNew, "all that it needs is there, but not for so long; "+warm(warmMS)
			case kept && named && len(after.Differs(i, before, was)) > 0:
				c.What, c.Why = PlanChanged, strings.Join(after.Differs(i, before, was), ", ")+": another value of what is kept"
			case kept && !named:
				c.What, c.Why = PlanNew, "all that it needs is there: warm at once, if that is"
			case !kept && named:
				c.What, c.Why = PlanChanged, "it asks for what was not kept and starts empty; "+warm(warmMS)
			case !kept:
				c.What, c.Why = PlanNew, "starts empty; "+warm(warmMS)
			}
			changes = append(changes, c)
		}
		for i := range before.Len() {
			if _, still := after.Find(before.Name(i)); !still {
				changes = append(changes, Change{PlanDropped, "features." + entity + "." + before.Name(i), "what only it needs is forgotten"})
			}
		}
	}
	return changes, nil
}

// Younger names the features of a pipeline that never see what was before it took over from another: those that count from then on.
func Younger(old, now *Config) (names []string, err error) {
	for _, entity := range entities {
		before, err := newFeatures(entity, old.Features, old.Results, time.UTC)
		if err != nil {
			return nil, err
		}
		after, err := newFeatures(entity, now.Features, now.Results, time.UTC)
		if err != nil {
			return nil, err
		}
		for i := range after.Len() {
			if _, warmMS := after.Origin(i, before); warmMS == feature.Never {
				names = append(names, entity+"."+after.Name(i))
			}
		}
	}
	return names, nil
}

func warm(ms int64) string {
	if ms == feature.Never {
		return "it counts from then on"
	}
	return "warm after " + Duration(ms*int64(time.Millisecond)).String()
}

// entries are the entries of a section by name.
func entries(section any) map[string]any {
	out := map[string]any{}
	for _, key := range reflect.ValueOf(section).MapKeys() {
		out[key.String()] = reflect.ValueOf(section).MapIndex(key).Interface()
	}
	return out
}

// differences names the keys in which two entries differ.
func differences(a, b any) string {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	if x.Kind() != reflect.Struct {
		return fmt.Sprintf("%v to %v", a, b)
	}
	var keys []string
	for i := range x.NumField() {
		if !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
			name, _, _ := strings.Cut(x.Type().Field(i).Tag.Get("yaml"), ",")
			if name == "" {
				name = strings.ToLower(x.Type().Field(i).Name)
			}
			keys = append(keys, name)
		}
	}
	return strings.Join(keys, ", ")
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ": " + b
}

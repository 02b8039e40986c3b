package pipeline

import (
	"fmt"

	"nudge/operators"
)

// Plan says what becomes of the state of a node that runs one pipeline when it takes another.
func Plan(old, now *Config) ([]operators.Change, error) {
	var changes []operators.Change
	refuse := func(key string, a, b any) {
		if a != b {
			changes = append(changes, operators.Change{What: operators.PlanRefused, Key: key, Why: fmt.Sprintf("%v to %v: the state belongs to the one before; set another generation and an empty folder", a, b)})
		}
	}
	refuse("app", old.App, now.App)
	if old.Generation != now.Generation {
		changes = append(changes, operators.Change{What: operators.PlanRefused, Key: "generation", Why: fmt.Sprintf("%q to %q: it begins with an empty folder", old.Generation, now.Generation)})
	}
	if old.Dir != now.Dir {
		changes = append(changes, operators.Change{What: operators.PlanRefused, Key: "dir", Why: fmt.Sprintf("%q to %q: the state is in the one before; stop the node, move the folder and start it again, or give it its folder by --dir", old.Dir, now.Dir)})
	}
	inputs := []string{"clickstream", "reviews", "catalog"}
	for i, in := range now.Topics() {
		refuse("inputs."+inputs[i]+".topic", old.Topics()[i].Topic, in.Topic)
		if before := old.Topics()[i].Format; before != in.Format {
			changes = append(changes, operators.Change{What: operators.PlanChanged, Key: "inputs." + inputs[i] + ".format", Why: before + " to " + in.Format + ": for records from then on"})
		}
	}
	if old.Currency != now.Currency {
		changes = append(changes, operators.Change{What: operators.PlanChanged, Key: "currency", Why: old.Currency + " to " + now.Currency + ": amounts that are remembered are not converted"})
	}
	more, err := operators.Plan(&old.Deciders, &now.Deciders)
	return append(changes, more...), err
}

// Package evaluation measures recommenders on recorded interactions, by the protocols of the papers. Whole catalogues are ranked, an
// item that scores as much as the target counts against it, and a target that the model has never seen stays in the denominator.
//
// Items are opaque: before anything else their ids are replaced by a seeded hash, and the catalogue is ordered by it, so that no model
// can learn from an id's value or from the order in which ids were given out.
package evaluation

import "nudge/models"

// Interaction is one line of a log.
type Interaction struct {
	User   int // customer or session, numbered in the order in which they are met
	Item   models.Item
	TimeMS int64
	Row    int // of its file
	// NoTarget says that its type is not asked for.
	NoTarget bool
	// Untimed says that its time is not known, but only its place: it is of no day.
	Untimed bool
	// Counts says, of what is learned, that it is no repetition of what the customer has taught of the item that day: it counts for sums.
	Counts bool
	Weight float32
}

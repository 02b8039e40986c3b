package models

// Diversity says what a candidate is worth at a place of a list: less by what it has in common with the items above it (after Carbonell,
// Goldstein 1998, maximal marginal relevance), and less the more it is in demand, for what everybody is shown makes all lists alike
// (Adomavicius, Kwon 2012).
//
//	worth(c) = score(c) · (1 - Strength · most alike) / (1 + 10 · share(c))^Strength
//
// It is a factor, so that it does the same to chances as to counts. With a difference, as in the paper, of scores as parts of the best,
// a Strength of .1 lost 5 % of HR@20 on rsc15's validation part, as chances fall off steeply, and lists were not more varied. Strength is 0.5 where nobody says
// otherwise: on the validation parts of rsc15 and beauty lists were a quarter and a third more even, for .2 and 1.8 % of HR@20.
type Diversity struct {
	Strength float64                 // from 0 to 1; with 0 nothing is lost
	Alike    func(a, b Item) float32 // from 0 to 1, whichever is first
	Share    func(Item) float64      // of the demand for what is in demand most: from 0 to 1
}

// DiversityConsidered is how many of the best candidates a place is given to.
const DiversityConsidered = 60

// Standing is what is known of a candidate beside the items of a list, which grows. It starts as zero.
type Standing struct {
	usual float32 // what its share of the demand leaves of it
	held  int     // items of the list that it was held against
	most  float32 // alike
}

// Worth is what a candidate of a score above 0 is worth below the items of a list. It looks no closer than to know that it is not more than enough.
func (d *Diversity) Worth(s *Standing, c Item, score float64, above []Item, enough float64) float64 {
	if s.usual == 0 {
		s.usual = float32(Exp(-float64(d.Strength * Log(1+float64(10*d.Share(c))))))
	}
	score *= float64(s.usual)
	for ; ; s.held++ {
		worth := float64(score * (1 - float64(d.Strength*float64(s.most))))
		if s.held >= len(above) || worth <= enough {
			return worth
		}
		s.most = max(s.most, d.Alike(c, above[s.held]))
	}
}

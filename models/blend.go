package models

// blend are the weights of the sources in the plain blend: a mixture of what each says, learned by online expectation maximisation
// (Cappé, Moulines 2009). It starts as set, and settles as examples come.
type blend struct {
	weight [voices]float64
	seen   float64 // examples, up to blendMost
}

const (
	blendPrior = 100  // examples' worth of the weights at the start
	blendMost  = 5000 // examples after which older ones fade

	popularAtFirst = 0.02
)

func newBlend() blend {
	return blend{weight: [voices]float64{VoiceTrending: 0.02, VoicePopular: popularAtFirst, VoiceTogether: 0.38, VoiceNear: 0.38, VoiceSession: 0.12, VoiceSequence: 0.1}, seen: blendPrior}
}

// learn takes in what the sources said of the item that came.
func (b *blend) learn(parts *[voices]float32) {
	sum := 0.0
	for v, w := range b.weight {
		sum += float64(w * float64(parts[v]))
	}
	if sum <= 0 {
		return
	}
	b.seen = min(b.seen+1, blendMost)
	rate, all := 1/b.seen, 0.0
	for v := range b.weight {
		b.weight[v] = float64((1-rate)*b.weight[v]) + float64(rate*float64(b.weight[v]*float64(parts[v])))/sum
		b.weight[v] = max(b.weight[v], 1e-3) // nobody falls silent for good
		all += b.weight[v]
	}
	for v := range b.weight {
		b.weight[v] /= all
	}
}

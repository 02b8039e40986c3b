package main

import (
	"context"

	"nudge/cmd/nudge/internal/evaluation"
	"nudge/cmd/nudge/internal/recording"
	"nudge/streams"
)

// interactionWeights are the events of a recorded log that count as interactions, as the engine weighs them.
var interactionWeights = map[string]float64{
	streams.ProductViewed.String(): 1, streams.WishlistAdded.String(): 2, streams.ProductAdded.String(): 2, streams.OrderCompleted.String(): 4,
}

// readLog reads the interactions of a recorded or simulated log: of customers, or of the sessions that events name. What can't be decoded, and records of the catalogue, are passed over.
func readLog(ctx context.Context, dir string, to *evaluation.Reader, sessions bool) error {
	rec, err := recording.Open(dir)
	if err != nil {
		return err
	}
	weights := to.Columns.Events
	if weights == nil {
		weights = interactionWeights
	}
	var event streams.Event
	for _, topic := range rec.Log.Topics() {
		d := streams.NewDecoder(streams.Auto)
		for p := range int32(rec.Log.Partitions(topic)) {
			start, end, err := rec.Log.Offsets(topic, p)
			if err != nil {
				return err
			}
			f := rec.Fetcher(topic, p, start)
			for next := start; next < end; {
				batch, err := f.Fetch(ctx)
				if err != nil {
					f.Close()
					return err
				}
				next = batch.Next
				for i := range batch.Records {
					event = streams.Event{}
					if d.Decode(&batch.Records[i], &event) != nil || event.Type.Catalogue() {
						continue
					}
					weight, ok := weights[event.Name]
					if !ok {
						to.Passed++
						continue
					}
					user := "u" + event.User
					switch {
					case sessions && event.Session != "":
						user = "s" + event.Session
					case event.User == "":
						user = "a" + event.Anon
					}
					for _, l := range event.Lines {
						if err := to.Add(user, l.ID, event.Name, event.TimeMS, weight); err != nil {
							f.Close()
							return err
						}
					}
				}
			}
			f.Close()
		}
	}
	return to.EndFile(dir)
}

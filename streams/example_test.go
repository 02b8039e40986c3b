package streams_test

import (
	"fmt"

	"nudge/streams"
)

// A record is decoded once; the event and a decision on it need nothing but this package.
func Example() {
	record := streams.Record{Offset: 81273, AppendMS: 1795437860131, Key: []byte("u-42"), Value: []byte(
		`{"id":"01J9","type":"product.viewed","user":"u-42","item":"SKU-1","price":51.62,"time":"2026-11-23T12:44:19Z"}`)}
	position := streams.Position{Topic: "clickstream", Partition: 3, Offset: record.Offset}

	decoder := streams.NewDecoder(streams.Native)
	var event streams.Event
	if fault := decoder.Decode(&record, &event); fault != nil {
		letter := streams.NewDeadLetter(position, &record, fault)
		fmt.Println(streams.DeadSubject("shop", position.Topic, fault.Reason), string(letter.AppendJSON(nil)))
		return
	}
	timeMS, fault := streams.CheckTime(&event, record.AppendMS)
	fmt.Println(event.Type, event.User, event.Item(), event.Lines[0].Price, timeMS, fault)

	decision := streams.Decision{
		ID: streams.DecisionID("shop", "", position, "home", 0), Kind: streams.KindRecommendation, Name: "home", Action: streams.ActionShow,
		User: event.User, TimeMS: timeMS, Propensity: 1,
		Items: []streams.DecisionItem{{ID: "SKU-2", Score: 0.5, Propensity: 1,
			Reasons: []streams.Reason{{Code: streams.ReasonViewedTogether, With: "SKU-1", Weight: 0.5}}}},
		Cause: streams.Cause{Topic: position.Topic, Partition: position.Partition, Offset: position.Offset, Event: event.ID},
	}
	fmt.Println(streams.DecisionSubject("shop", decision.Kind, decision.Name, decision.User))
	fmt.Println(string(decision.AppendJSON(nil)))
	fmt.Println(decision.Words("en"))
	// Output:
	// product.viewed u-42 SKU-1 51620000 1795437859000 <nil>
	// nudge.shop.decisions.recommendation.home.u-42
	// {"v":1,"id":"shop.clickstream-3-81273.home.0","kind":"recommendation","name":"home","action":"show","user":"u-42","time":"2026-11-23T12:44:19.000Z","items":[{"id":"SKU-2","score":0.5,"propensity":1,"reasons":[{"code":"viewed_together","with":"SKU-1","weight":0.5}]}],"propensity":1,"cause":{"topic":"clickstream","partition":3,"offset":81273,"event":"01J9"}}
	// u-42: show SKU-2 (home) - shoppers who viewed SKU-1 also viewed it
}

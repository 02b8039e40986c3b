package pipeline_test

import (
	"testing"

	"nudge/engine"
	"nudge/operators/pipeline"
	"nudge/streams"
)

// TestCompileDecoders compiles a pipeline and decodes as its inputs do.
func TestCompileDecoders(t *testing.T) {
	const text = `version: 1
app: shop
currency: CNY
rates: {USD: 7.1}
inputs:
  clickstream: {topic: clicks, format: native, strict: true}
  reviews: {topic: reviews, format: segment}
`
	cfg, _, err := pipeline.Compile(engine.Setup{Definition: []byte(text),
		Inputs: []engine.Topic{{Topic: "clicks", Partitions: 1}, {Topic: "reviews", Partitions: 1}, {Catalog: true}}})
	if err != nil {
		t.Fatal(err)
	}
	clicks, reviews := cfg.Inputs[0].NewDecoder(), cfg.Inputs[1].NewDecoder()
	for _, c := range []struct {
		decoder *streams.Decoder
		text    string
		price   int64
		reason  string
	}{
		{clicks, `{"id":"1","type":"product.viewed","time":1,"user":"u","item":"x","price":10,"currency":"USD"}`, 71 * streams.Micro, ""},
		{clicks, `{"id":"1","type":"product.viewed","time":1,"user":"u","item":"x","price":10}`, 10 * streams.Micro, ""},
		{clicks, `{"id":"1","type":"product.viewed","time":1,"user":"u","item":"x","currency":"GBP"}`, 0, streams.FaultCurrency},
		{clicks, `{"id":"1","type":"page.viewed","time":1,"user":"u","colour":"red"}`, 0, streams.FaultUnknown},
		{reviews, `{"type":"track","event":"Product Viewed","messageId":"1","timestamp":"2026-03-01T09:00:00Z","userId":"u",` +
			`"properties":{"product_id":"x","price":10,"currency":"USD"}}`, 71 * streams.Micro, ""},
	} {
		var e streams.Event
		f := c.decoder.Decode(&streams.Record{Value: []byte(c.text)}, &e)
		switch {
		case f != nil && f.Reason != c.reason, f == nil && c.reason != "":
			t.Errorf("%s\ngives the fault %v, want %q", c.text, f, c.reason)
		case f == nil && e.Lines[0].Price != c.price:
			t.Errorf("%s\nhas the price %d, want %d", c.text, e.Lines[0].Price, c.price)
		}
	}
}

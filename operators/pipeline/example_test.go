package pipeline_test

import (
	"fmt"

	"nudge/operators/pipeline"
)

func Example() {
	config, faults := pipeline.Parse("shop.yaml", []byte(`
version: 1
app: shop
recommenders:
  home: {when: [page.viewed], size: 4}
`))
	fmt.Println(len(faults), config.App, config.Deciders.Recommenders["home"].Size, config.Time.Lateness)

	_, faults = pipeline.Parse("shop.yaml", []byte(`
version: 1
app: shop
recommenders:
  home: {when: [page.view], sise: 4}
lease: 10
`))
	for _, fault := range faults {
		fmt.Println(fault.Key, "->", fault.Suggestion)
	}
	// Output:
	// 0 shop 4 2s
	// recommenders.home.when[0] -> page.viewed
	// recommenders.home.sise -> size
	// lease -> 10s
}

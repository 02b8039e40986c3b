package deploy_test

import (
	"fmt"
	"maps"
	"slices"

	"nudge/deploy"
	"nudge/operators/pipeline"
)

func Example() {
	config, _ := pipeline.Parse("shop.yaml", deploy.Shop)
	d := config.Deciders
	fmt.Println(slices.Sorted(maps.Keys(d.Recommenders)), slices.Sorted(maps.Keys(d.Offers)), slices.Sorted(maps.Keys(d.Churn)))
	// Output: [home] [cart_rescue] [leaving]
}

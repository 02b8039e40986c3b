package operators_test

import (
	"fmt"
	"time"

	"nudge/operators"
)

func ExampleNew() {
	var home operators.Recommender
	home.SetDefaults()
	home.When.Events = []string{"page.viewed"}
	config := operators.Config{Recommenders: map[string]operators.Recommender{"home": home}}
	config.SetDefaults()
	program, err := operators.New(config, []byte("recommenders: {home: {when: [page.viewed]}}"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(program.Names())
	// Output: [home recommendations coupons churn]
}

func ExampleRate() {
	var r operators.Rate
	err := r.UnmarshalText([]byte("2 per 90s"))
	fmt.Println(r.N, time.Duration(r.Per), err)
	fmt.Println(r.UnmarshalText([]byte("often")))
	// Output:
	// 2 1m30s <nil>
	// want a number of times per duration, such as 1 per 30s
}

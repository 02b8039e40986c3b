package condition_test

import (
	"fmt"

	"nudge/operators/condition"
)

// orders knows one name.
type orders float64

func (o orders) Name(path []string) (int, condition.Kind, bool) {
	return 0, condition.Number, len(path) == 2 && path[0] == "user" && path[1] == "orders_90d"
}
func (o orders) Near([]string) []string { return []string{"user.orders_90d"} }
func (o orders) Number(int) float64     { return float64(o) }
func (o orders) Text(int) string        { return "" }
func (o orders) Truth(int) bool         { return false }
func (o orders) List(int) []string      { return nil }

func Example() {
	c, err := condition.Compile("user.orders_90d >= 2", orders(0))
	if err != nil {
		panic(err)
	}
	fmt.Println(c.True(orders(1)), c.True(orders(2)))
	_, err = condition.Compile("user.order_90d >= 2", orders(0))
	fmt.Println(err)
	// Output:
	// false true
	// unknown name "user.order_90d": want a feature, prediction, trait, consent or audience that there is, or a field of customer, event, item, next or now; all are in deploy/FEATURES.md; did you mean user.orders_90d?
}

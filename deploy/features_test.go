package deploy_test

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"nudge/operators"
	"nudge/operators/condition"
	"nudge/operators/feature"
	"nudge/operators/pipeline"
)

// keysOf are the keys that a section may have.
func keysOf(section any) (keys []string) {
	t := reflect.TypeOf(section)
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); name != "" && name != "-" {
			keys = append(keys, name)
		}
	}
	return keys
}

// FEATURES.md names every word of the language, as code, and its pipelines are valid.
func TestFeaturesAreTheLanguage(t *testing.T) {
	text := read(t, "FEATURES.md")
	var said []string
	for _, code := range regexp.MustCompile("`[^`\n]+`").FindAllString(text, -1) {
		said = append(said, strings.Trim(code, "`"))
		said = append(said, regexp.MustCompile(`[a-z_.]+(<name>)?`).FindAllString(code, -1)...)
	}
	for what, words := range map[string][]string{
		"aggregate":                  feature.Aggregates(),
		"field":                      feature.Fields(),
		"key of a feature":           keysOf(feature.Definition{}),
		"window":                     keysOf(feature.Window{}),
		"transform":                  keysOf(feature.Transform{}),
		"moment":                     keysOf(operators.Moment{}),
		"place of closed windows":    keysOf(operators.Results{}),
		"name in conditions":         operators.ConditionNames(),
		"function of conditions":     condition.Functions(),
		"part of rfm":                {"recency", "frequency", "monetary"},
		"calendar window":            {"day", "week"},
		"unit":                       {"s", "m", "h", "d"},
		"operator of conditions":     {"and", "or", "not", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "in", "contains", "startsWith", "endsWith"},
		"comparison of a filter":     {">=", "<=", ">", "<"},
		"cancellation or its refund": {"order.cancelled", "order.refunded"},
	} {
		for _, word := range words {
			if !slices.Contains(said, word) {
				t.Errorf("FEATURES.md does not name the %s %s", what, word)
			}
		}
	}
	examples := regexp.MustCompile("(?s)```yaml pipeline\n(.*?)\n```").FindAllStringSubmatch(text, -1)
	if len(examples) < 3 {
		t.Fatalf("%d pipelines", len(examples))
	}
	for _, x := range examples {
		if _, faults := pipeline.Parse("FEATURES.md", []byte("version: 1\napp: shop\n"+x[1])); len(faults) > 0 {
			t.Errorf("%s\n%v", x[1], faults)
		}
	}
	table := text[strings.Index(text, "## Aggregates"):strings.Index(text, "## Windows\n")]
	for _, x := range regexp.MustCompile("\\| `(\\{[^`]+\\})` \\|").FindAllStringSubmatch(table, -1) {
		if _, faults := pipeline.Parse("FEATURES.md", []byte("version: 1\napp: shop\nfeatures:\n  user.x: "+x[1]+"\n")); len(faults) > 0 {
			t.Errorf("%s: %v", x[1], faults)
		}
	}
}

// RECOMMENDING.md names every key of what decides, as code.
func TestRecommendingHasEveryKey(t *testing.T) {
	text := read(t, "RECOMMENDING.md")
	var said []string
	for _, code := range regexp.MustCompile("`[^`\n]+`").FindAllString(text, -1) {
		said = append(said, regexp.MustCompile(`[a-z_]+`).FindAllString(code, -1)...)
	}
	for of, section := range map[string]any{
		"a recommender": operators.Recommender{}, "rank": operators.Rank{}, "a rule": operators.Rule{}, "an offer": operators.Offer{}, "gives": operators.Gives{},
		"a budget": operators.Budget{}, "churn": operators.Churn{}, "ignore": operators.IgnoreRule{}, "limits": operators.Limits{},
	} {
		for _, key := range keysOf(section) {
			if !slices.Contains(said, key) {
				t.Errorf("RECOMMENDING.md does not name the key %s of %s", key, of)
			}
		}
	}
}

package operators

import (
	"slices"
	"strings"

	"nudge/operators/feature"
)

// appendCategories appends the categories of an item, joined as the catalogue keeps them, each followed by those that it lies within; none twice.
func appendCategories(to []string, joined string) []string {
	for joined != "" {
		var path string
		path, joined, _ = strings.Cut(joined, "\n")
		for {
			if !slices.Contains(to, path) {
				to = append(to, path)
			}
			end := strings.LastIndex(path, feature.Below)
			if end < 0 {
				break
			}
			path = path[:end]
		}
	}
	return to
}

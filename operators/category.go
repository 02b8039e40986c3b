package operators

import (
	"slices"
	"strings"
)

// below stands between the parts of a category's path: "Toys > Plush" lies within "Toys".
const below = " > "

// liesWithin says whether a category is another, or lies below it.
func liesWithin(category, other string) bool {
	rest, ok := strings.CutPrefix(category, other)
	return ok && (rest == "" || strings.HasPrefix(rest, below))
}

// appendCategories appends the categories of an item, joined as the catalogue keeps them, each followed by those that it lies within; none twice.
func appendCategories(to []string, joined string) []string {
	for joined != "" {
		var path string
		path, joined, _ = strings.Cut(joined, "\n")
		for {
			if !slices.Contains(to, path) {
				to = append(to, path)
			}
			end := strings.LastIndex(path, below)
			if end < 0 {
				break
			}
			path = path[:end]
		}
	}
	return to
}

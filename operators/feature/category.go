package feature

import "strings"

// Below stands between the parts of a category's path: "Toys > Plush" lies within "Toys".
const Below = " > "

// LiesWithin says whether a category is another, or lies below it.
func LiesWithin(category, other string) bool {
	rest, ok := strings.CutPrefix(category, other)
	return ok && (rest == "" || strings.HasPrefix(rest, Below))
}

package operators

import (
	"math/bits"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"nudge/streams"
)

// The bounds of what describes an item.
const (
	maxTerms      = 28
	termPaths     = 4 // categories
	termTags      = 6
	termWords     = 12
	termTitle     = 256 // bytes of a title that are read
	maxBrandBytes = 64
	maxSearched   = 8 // words of a search
)

// termsOf are the terms by which items that are described alike are found: each level of their categories, brand, tags, words of the title
// (pairs of characters where words are not set apart), the price within its category in steps of √2, and the brand within the category.
func termsOf(x *streams.CatalogItem) []uint32 {
	var terms []uint32
	add := func(kind, a, b string) {
		if a != "" {
			terms = append(terms, term(kind, a, b))
		}
	}
	for _, path := range x.Categories[:min(len(x.Categories), termPaths)] {
		for at := 0; at >= 0; {
			next := strings.Index(path[at:], ">")
			if next < 0 {
				add("category", strings.TrimSpace(path), "")
				break
			}
			add("category", strings.TrimSpace(path[:at+next]), "")
			at += next + 1
		}
	}
	add("brand", x.Brand, "")
	for _, tag := range x.Tags[:min(len(x.Tags), termTags)] {
		add("tag", tag, "")
	}
	if len(x.Categories) > 0 {
		add("brand in category", x.Brand, x.Categories[0])
		if x.HasPrice && x.Price > 0 {
			add("price", string(rune('a'+halves(x.Price))), x.Categories[0])
		}
	}
	words := 0
	eachWord(x.Title[:min(len(x.Title), termTitle)], func(w string) {
		if words++; words <= termWords {
			add("word", w, "")
		}
	})
	slices.Sort(terms)
	terms = slices.Compact(terms)
	return slices.Clip(terms[:min(len(terms), maxTerms)])
}

func term(kind, a, b string) uint32 {
	return uint32(xxhash.Sum64String(kind + "\x00" + a + "\x00" + b))
}

// wordsOf are the terms of a search, ascending: its words, as those of titles are.
func wordsOf(query string) (terms []uint32) {
	eachWord(query[:min(len(query), termTitle)], func(w string) {
		if len(terms) < maxSearched {
			terms = append(terms, term("word", w, ""))
		}
	})
	slices.Sort(terms)
	return slices.Compact(terms)
}

// halves counts steps of about √2.
func halves(x int64) int {
	n := bits.Len64(uint64(x))
	if n < 2 {
		return 2 * n
	}
	return 2*n + int(x>>(n-2)&1)
}

// eachWord calls f for the words of a text in small letters, for pairs of characters where a script does not set words apart.
func eachWord(text string, f func(string)) {
	text = strings.ToLower(text)
	from, before := -1, rune(0) // begin of a word; the character of such a script before
	for at, r := range text {
		joined := unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai)
		word := !joined && (unicode.IsLetter(r) || unicode.IsDigit(r))
		if from >= 0 && !word {
			f(text[from:at])
			from = -1
		}
		if word && from < 0 {
			from = at
		}
		if joined && before != 0 {
			f(string([]rune{before, r}))
		}
		before = 0
		if joined {
			before = r
		}
	}
	if from >= 0 {
		f(text[from:])
	}
}

// clipText cuts a text at a whole character.
func clipText(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

package condition

import (
	"strconv"

	"github.com/expr-lang/expr/ast"
)

// Bounded is what Names may also implement: how many bytes are kept of the texts that a name stands for, 0 for all. What is longer when it is compared
// with is a fault: it would never hold.
type Bounded interface {
	Most(path []string) int
}

// most is how much is kept of a name's texts.
func (k *compiler) most(path []string) int {
	if b, ok := k.names.(Bounded); ok {
		return b.Most(path)
	}
	return 0
}

// fits makes sure that a text that is written out can be equal to what is kept, or a part of it.
func (k *compiler) fits(x *ast.BinaryNode, a, b node) {
	for _, pair := range [...]struct {
		kept, text node
		at         ast.Node
	}{{a, b, x.Right}, {b, a, x.Left}} {
		for _, s := range pair.text.literals {
			if most := pair.kept.most; most > 0 && len(s) > most {
				k.failf(pair.at, "of such texts the first "+strconv.Itoa(most)+" bytes are kept: write those, or ask with startsWith for fewer", strconv.Quote(s[:clip(s, most)]), "a text of %d bytes", len(s))
			}
		}
	}
}

// clip is where a text is cut so that no more than most bytes are left and no letter is halved.
func clip(s string, most int) int {
	for most > 0 && s[most]&0xc0 == 0x80 {
		most--
	}
	return most
}

package operators_test

import (
	"strings"
	"testing"

	"nudge/operators"
)

func TestParseQuestion(t *testing.T) {
	for text, want := range map[string]string{
		``:   "",
		`{}`: "",
		`{"customer":"u","item":"p1","items":["p2"],"cart":[],"n":3,"name":"home","categories":["Toys"],"exclude":["p3"],"candidates":true}`: "",
		`{"customer":"u","itms":["p1"]}`:  "itms: unknown key; did you mean item",
		`{"customer":"u","session":"s1"}`: "session: unknown key; a session is its customer's",
		`{"filter":"item.price < 5"}`:     "filter: unknown key; want customer, name, item, ",
		`{"Customer":"u"}`:                "Customer: unknown key; did you mean customer?",
		`{"customer":7}`:                  "want a document such as",
		`["u"]`:                           "want a document such as",
	} {
		_, err := operators.ParseQuestion([]byte(text))
		switch {
		case want == "" && err != nil, want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)):
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

package streams

import (
	"strings"
	"testing"
)

func TestIDsAndSubjects(t *testing.T) {
	pos := Position{"clickstream", 3, 81273}
	for got, want := range map[string]string{
		DecisionID("shop", "", pos, "home", 0):                                        "shop.clickstream-3-81273.home.0",
		DecisionID("shop", "g2", pos, "home", 11):                                     "shop~g2.clickstream-3-81273.home.11",
		TimerDecisionID("shop", "", "u-42", 1795437860131, "cart_rescue", 0):          "shop.t-b83fc7b1a176999b-1795437860131.cart_rescue.0",
		TimerDecisionID("shop", "g2", "u-42", 1795437860131, "cart_rescue", 1):        "shop~g2.t-b83fc7b1a176999b-1795437860131.cart_rescue.1",
		DeadID("shop", "", pos):                                                       "shop.dead.clickstream-3-81273",
		DeadID("shop", "g2", pos):                                                     "shop~g2.dead.clickstream-3-81273",
		DecisionSubject("shop", KindCoupon, "cart_rescue", "u-42"):                    "nudge.shop.decisions.coupon.cart_rescue.u-42",
		DecisionSubject("shop", KindChurn, "leaving", "a.b c*>张"):                     "nudge.shop.decisions.churn.leaving.a=2Eb=20c=2A=3E=E5=BC=A0",
		DeadSubject("shop", "shop.clicks", FaultJSON):                                 "nudge.shop.dead.shop=2Eclicks.json",
		AdvisorySubject("shop", "gap"):                                                "nudge.shop.advisory.gap",
		string(AppendDecisionSubject([]byte("_"), "a", KindRecommendation, "n", "u")): "_nudge.a.decisions.recommendation.n.u",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if n := len(EncodeToken(nil, strings.Repeat("\xff", MaxIDBytes))); n != 384 {
		t.Errorf("the full escape of %d bytes is %d bytes, want 384", MaxIDBytes, n)
	}
	for token, want := range map[string]string{"a=2Eb": "a.b", "=3D": "=", "": ""} {
		if got, err := DecodeToken(token); err != nil || got != want {
			t.Errorf("DecodeToken(%q) = %q, %v, want %q", token, got, err, want)
		}
	}
	for _, bad := range []string{"a.b", "=2", "=", "=2e", "=41", "=GG", "a b"} {
		if got, err := DecodeToken(bad); err == nil {
			t.Errorf("DecodeToken(%q) = %q, want an error", bad, got)
		}
	}
	for token, want := range map[string]bool{"shop": true, "A-z_9": true, "": false, "a.b": false, "a b": false, "店": false,
		strings.Repeat("x", 64): true, strings.Repeat("x", 65): false} {
		if ValidToken(token) != want {
			t.Errorf("ValidToken(%q) = %v", token, !want)
		}
	}
	for _, reason := range FaultReasons() {
		if !ValidToken(reason) {
			t.Errorf("fault reason %q is no token", reason)
		}
	}
	buf := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() {
		buf = AppendDecisionID(buf[:0], "shop", "g", pos, "home", 0)
		buf = AppendTimerDecisionID(buf[:0], "shop", "g", "u", 1, "home", 0)
		buf = AppendDecisionSubject(buf[:0], "shop", KindCoupon, "home", "u.1")
	}); n != 0 {
		t.Errorf("ids and subjects allocate %v times", n)
	}
}

func TestDeadLetter(t *testing.T) {
	pos := Position{"clickstream", 3, 7}
	r := &Record{AppendMS: 1795437860131, Key: []byte("u-1"), Value: []byte(`{"id":7}`)}
	fault := &Fault{FaultType, `field "id": want a string, got 7`}
	dl := NewDeadLetter(pos, r, fault)
	want := `{"reason":"type","detail":"field \"id\": want a string, got 7","topic":"clickstream","partition":3,"offset":7,"key":"u-1",` +
		`"raw":"eyJpZCI6N30=","raw_bytes":8,"truncated":false,"time":"2026-11-23T12:44:20.131Z"}`
	if got := string(dl.AppendJSON(nil)); got != want || dl.Position() != pos {
		t.Errorf("got %s\nwant %s", got, want)
	}
	r.Key, r.Value = []byte{0xff}, make([]byte, 10<<20)
	fault.Detail = strings.Repeat("字", 1000)
	dl = NewDeadLetter(pos, r, fault)
	b := dl.AppendJSON(nil)
	back, err := ParseDeadLetter(b)
	if err != nil || len(back.Raw) != MaxDeadBytes || back.RawBytes != 10<<20 || !back.Truncated || string(back.Key) != "\xff" || len(b) > 8<<10 {
		t.Errorf("%d bytes, %v: %+v", len(b), err, back)
	}
	if _, err := ParseDeadLetter([]byte(`{"time":5}`)); err == nil {
		t.Error("a time that is no string was accepted")
	}
}

// What is another entity's is never under a user's subject: erasing a user who has an item's id leaves the item's windows.
func TestFeatureSubjects(t *testing.T) {
	for _, x := range []struct{ entity, key, want string }{
		{"", "u.1", "nudge.shop.features.totals.u=2E1"},
		{"item", "u.1", "nudge.shop.features.totals.item.u=2E1"},
		{"global", "global", "nudge.shop.features.totals.global.global"},
		{"", "global", "nudge.shop.features.totals.global"},
	} {
		if got := string(AppendFeatureSubject(nil, "shop", "totals", x.entity, x.key)); got != x.want {
			t.Errorf("%s %s: %s, want %s", x.entity, x.key, got, x.want)
		}
	}
}

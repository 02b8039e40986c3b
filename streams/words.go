package streams

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// The codes of reasons. Each has its sentences in reasonWords; With and Weight mean what the comment says, and a sentence
// does without either.
const (
	// Why an item is recommended. With: the item or category it goes with; Weight: its part of the score.
	ReasonViewedTogether  = "viewed_together"
	ReasonBoughtTogether  = "bought_together"
	ReasonCartTogether    = "cart_together"
	ReasonTrending        = "trending"
	ReasonPopular         = "popular"
	ReasonRecentView      = "recent_view"
	ReasonRecentSearch    = "recent_search"
	ReasonInCart          = "in_cart"
	ReasonWishlist        = "wishlist"
	ReasonSameCategory    = "same_category"
	ReasonSameBrand       = "same_brand"
	ReasonSimilarContent  = "similar_content"
	ReasonSimilarShoppers = "similar_shoppers"
	ReasonPriceBand       = "price_band"
	ReasonNewArrival      = "new_arrival"
	ReasonWellRated       = "well_rated"
	ReasonRepurchase      = "repurchase"
	ReasonModelScore      = "model_score" // With: the model
	ReasonExplored        = "explored"
	ReasonPinned          = "pinned"   // With: nothing
	ReasonStranger        = "stranger" // nothing is known of the customer yet

	// Why a coupon is offered.
	ReasonCartAbandoned     = "cart_abandoned"     // Weight: minutes of quiet
	ReasonCheckoutAbandoned = "checkout_abandoned" // Weight: minutes of quiet
	ReasonCartValue         = "cart_value"         // Weight: units of currency
	ReasonChurnRisk         = "churn_risk"         // Weight: probability
	ReasonWinback           = "winback"            // Weight: days since the last order
	ReasonFirstOrder        = "first_order"
	ReasonLoyal             = "loyal"         // Weight: orders
	ReasonAudience          = "audience"      // With: the audience or its condition
	ReasonLeftAudience      = "left_audience" // With: the audience
	ReasonUplift            = "uplift"        // Weight: expected gain in units of currency
	ReasonAtMost            = "at_most"       // the discount was cut; Weight: units of currency

	// Why a customer is thought to leave, or to have come back.
	ReasonSilence    = "silence"    // Weight: days since the last order
	ReasonRhythm     = "rhythm"     // Weight: days that usually lie between two orders
	ReasonOrders     = "orders"     // Weight: orders so far
	ReasonFewOrders  = "few_orders" // Weight: orders so far
	ReasonLastVisit  = "last_visit" // Weight: days since the last visit
	ReasonVisitsFell = "visits_fell"
	ReasonLowRating  = "low_rating" // Weight: stars
	ReasonComplaint  = "complaint"
	ReasonRefund     = "refund"
	ReasonOptedOut   = "opted_out"
	ReasonSpend      = "spend" // Weight: units of currency
	ReasonThreshold  = "threshold"
	ReasonRecovered  = "recovered" // With: what showed it

	// Why an item was left out.
	ReasonOutOfStock  = "out_of_stock"
	ReasonBought      = "bought"
	ReasonUnavailable = "unavailable"
	ReasonDiversity   = "diversity" // With: the category

	// Why a decision was withheld: the reasons of action none. With: the rule, budget, arm or purpose.
	ReasonHoldout    = "holdout"
	ReasonControl    = "control"
	ReasonCap        = "cap"
	ReasonCooldown   = "cooldown" // Weight: days still to wait
	ReasonBudget     = "budget"
	ReasonConsent    = "consent"
	ReasonStale      = "stale"
	ReasonMargin     = "margin"
	ReasonQuietHours = "quiet_hours"
	ReasonPaused     = "paused"
	ReasonNoItems    = "no_items" // With: what left out most: unavailable, cart, bought, viewed, seen or filter
)

// reasonWords holds the sentences in English and Chinese. {with}, {weight} and {percent} stand for the reason's With, its
// Weight and its Weight as a percentage; what stands in brackets is left out where one of them is missing.
var reasonWords = map[string][2]string{
	ReasonViewedTogether:  {"shoppers who viewed [{with}|the same things] also viewed it", "浏览过[{with}|同样商品]的顾客也浏览了它"},
	ReasonBoughtTogether:  {"shoppers who bought [{with}|the same things] also bought it", "购买过[{with}|同样商品]的顾客也购买了它"},
	ReasonCartTogether:    {"often put into the cart together with [{with}|the items there]", "常与[{with}|购物车中的商品]一起加入购物车"},
	ReasonTrending:        {"trending in the shop right now", "当前店内热门"},
	ReasonPopular:         {"popular in [{with}|the shop]", "[{with}|店内]热销商品"},
	ReasonRecentView:      {"the customer looked at [{with}|it] recently", "顾客最近浏览过[{with}|它]"},
	ReasonRecentSearch:    {"the customer searched for [{with}|it] recently", "顾客最近搜索过[{with}|它]"},
	ReasonInCart:          {"[{with}|it] lies in the cart", "[{with}|它]在购物车中"},
	ReasonWishlist:        {"[{with}|it] is on the wish list", "[{with}|它]在心愿单中"},
	ReasonSameCategory:    {"from a category that the customer likes[: {with}]", "来自顾客喜欢的类目[：{with}]"},
	ReasonSameBrand:       {"from a brand that the customer likes[: {with}]", "来自顾客喜欢的品牌[：{with}]"},
	ReasonSimilarContent:  {"resembles [{with}|what the customer looked at]", "与[{with}|顾客浏览过的商品]相似"},
	ReasonSimilarShoppers: {"liked by shoppers with a similar taste", "口味相近的顾客喜欢它"},
	ReasonPriceBand:       {"in the customer's price band", "符合顾客的价格区间"},
	ReasonNewArrival:      {"new in the shop", "新品上架"},
	ReasonWellRated:       {"well rated[: {weight} stars]", "评价良好[：{weight} 星]"},
	ReasonRepurchase:      {"time to buy it again", "到了再次购买的时候"},
	ReasonModelScore:      {"scored high by [{with}|the model]", "[{with}|模型]评分高"},
	ReasonExplored:        {"shown to learn how it is received", "为了解顾客反应而探索展示"},
	ReasonPinned:          {"put here by the shop", "由商家置顶"},
	ReasonStranger:        {"nothing is known of this visitor yet", "对这位访客尚无了解"},

	ReasonCartAbandoned:     {"left a cart behind[, quiet for {weight} min]", "购物车被搁置[，已静默 {weight} 分钟]"},
	ReasonCheckoutAbandoned: {"left the checkout[, quiet for {weight} min]", "结账中断[，已静默 {weight} 分钟]"},
	ReasonCartValue:         {"the cart is worth [{weight}|something]", "购物车金额[为 {weight}|可观]"},
	ReasonChurnRisk:         {"likely to leave[: {percent}]", "有流失风险[：{percent}]"},
	ReasonWinback:           {"has not ordered for [{weight} days|long]", "已[ {weight} 天|很久]没有下单"},
	ReasonFirstOrder:        {"has not ordered before", "尚未下过首单"},
	ReasonLoyal:             {"a loyal customer[ of {weight} orders]", "忠实顾客[，共 {weight} 单]"},
	ReasonAudience:          {"belongs to [{with}|the audience]", "属于[{with}|目标人群]"},
	ReasonLeftAudience:      {"no longer belongs to [{with}|the audience]", "不再属于[{with}|目标人群]"},
	ReasonUplift:            {"the offer is expected to pay[: {weight}]", "预计优惠带来增益[：{weight}]"},
	ReasonAtMost:            {"the discount is cut at [{weight}|its limit]", "优惠金额以[ {weight} |上限]为限"},

	ReasonSilence:    {"no order for [{weight} days|longer than usual]", "已[ {weight} 天|异常久]没有下单"},
	ReasonRhythm:     {"usually orders every [{weight} days|now and then]", "通常[每 {weight} 天|定期]下单一次"},
	ReasonOrders:     {"has placed [{weight} orders|orders before]", "曾下[ {weight} |过]单"},
	ReasonFewOrders:  {"few orders to judge by[: {weight}]", "可供判断的订单较少[：{weight} 单]"},
	ReasonLastVisit:  {"last seen [{weight} days ago|a while ago]", "上次到访在[ {weight} 天|一段时间]前"},
	ReasonVisitsFell: {"comes less often than before", "到访频率下降"},
	ReasonLowRating:  {"gave a low rating[: {weight} stars]", "给出低评分[：{weight} 星]"},
	ReasonComplaint:  {"complained[ about {with}]", "有过投诉[：{with}]"},
	ReasonRefund:     {"sent an order back[: {with}]", "有过退款[：{with}]"},
	ReasonOptedOut:   {"unsubscribed[ from {with}]", "已退订[{with}]"},
	ReasonSpend:      {"has spent [{weight}|before]", "累计消费[ {weight}|过]"},
	ReasonThreshold:  {"above the threshold[ of {percent}]", "超过阈值[ {percent}]"},
	ReasonRecovered:  {"is active again[: {with}]", "重新活跃[：{with}]"},

	ReasonOutOfStock:  {"out of stock[: {with}]", "缺货[：{with}]"},
	ReasonBought:      {"bought already[: {with}]", "已购买[：{with}]"},
	ReasonUnavailable: {"not on sale now[: {with}]", "当前未在售[：{with}]"},
	ReasonDiversity:   {"enough of the same kind[: {with}]", "同类商品已足够[：{with}]"},

	ReasonHoldout:    {"withheld: in the permanent holdout[ of {with}]", "未执行：属于长期对照组[（{with}）]"},
	ReasonControl:    {"withheld: in the control arm[ of {with}]", "未执行：属于实验对照组[（{with}）]"},
	ReasonCap:        {"withheld: the cap is reached[: {with}]", "未执行：已达次数上限[（{with}）]"},
	ReasonCooldown:   {"withheld: cooling down[, {weight} days to go]", "未执行：冷却期内[，还剩 {weight} 天]"},
	ReasonBudget:     {"withheld: the budget is spent[: {with}]", "未执行：预算已用完[（{with}）]"},
	ReasonConsent:    {"withheld: no consent[ to {with}]", "未执行：未获同意[（{with}）]"},
	ReasonStale:      {"withheld: it came too late", "未执行：已过时效"},
	ReasonMargin:     {"withheld: the margin is too thin[: {percent}]", "未执行：毛利不足[：{percent}]"},
	ReasonQuietHours: {"withheld: quiet hours[ {with}]", "未执行：静默时段[ {with}]"},
	ReasonPaused:     {"withheld: paused by the operator[: {with}]", "未执行：已被运维暂停[（{with}）]"},
	ReasonNoItems:    {"withheld: no item is left to show[; most were left out for: {with}]", "未执行：没有可展示的商品[（多因 {with} 被排除）]"},
}

// ReasonCodes returns every code, sorted.
func ReasonCodes() []string {
	codes := make([]string, 0, len(reasonWords))
	for code := range reasonWords {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	return codes
}

// KnownReason reports whether the code is one of the enum.
func KnownReason(code string) bool {
	_, ok := reasonWords[code]
	return ok
}

// chinese reports whether a language tag asks for Chinese; every other one gets English.
func chinese(lang string) bool { return strings.HasPrefix(strings.ToLower(lang), "zh") }

// Words says the reason in the language of that tag ("zh", "zh-CN", …), in English for every other one. A code that is
// not of the enum is returned as it is.
func (r Reason) Words(lang string) string {
	words, ok := reasonWords[r.Code]
	if !ok {
		return r.Code
	}
	if chinese(lang) {
		return r.fill(words[1])
	}
	return r.fill(words[0])
}

// fill fills a template in. Within brackets, what follows '|' stands in where the part before it misses a value.
func (r Reason) fill(template string) string {
	var out strings.Builder
	for template != "" {
		before, rest, found := strings.Cut(template, "[")
		out.WriteString(before)
		if !found {
			break
		}
		inside, after, _ := strings.Cut(rest, "]")
		inside, otherwise, _ := strings.Cut(inside, "|")
		if s, ok := r.values(inside); ok {
			out.WriteString(s)
		} else {
			out.WriteString(otherwise)
		}
		template = after
	}
	return out.String()
}

func (r Reason) values(s string) (string, bool) {
	if strings.Contains(s, "{with}") {
		if r.With == "" {
			return "", false
		}
		s = strings.ReplaceAll(s, "{with}", r.With)
	} else if r.Weight == 0 {
		return "", false
	}
	s = strings.ReplaceAll(s, "{weight}", number(r.Weight, 1))
	return strings.ReplaceAll(s, "{percent}", number(r.Weight*100, 0)+" %"), true
}

// number writes f with at most that many decimals, and at least two digits that count.
func number(f float64, decimals int) string {
	if size := math.Abs(f); size > 0 && size < 1 {
		for decimals = 2; decimals < 9 && size*math.Pow10(decimals) < 10; {
			decimals++
		}
	}
	s := strconv.FormatFloat(f, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// Words says the decision in one line for people: who, what and why.
func (d *Decision) Words(lang string) string {
	zh := chinese(lang)
	say := func(english, chinese string) string {
		if zh {
			return chinese
		}
		return english
	}
	var out strings.Builder
	if d.Anonymous {
		out.WriteString(say("visitor ", "访客 "))
	}
	out.WriteString(d.User)
	out.WriteString(say(": ", "："))
	out.WriteString(d.what(say))
	out.WriteString(say(" (", "（"))
	out.WriteString(d.Name)
	out.WriteString(say(")", "）"))
	why := make([]string, 0, 3)
	add := func(reasons []Reason) {
		for _, r := range reasons {
			if w := r.Words(lang); len(why) < cap(why) && !slices.Contains(why, w) {
				why = append(why, w)
			}
		}
	}
	add(d.Reasons)
	for i := range d.Items {
		add(d.Items[i].Reasons)
	}
	for i, w := range why {
		if i == 0 {
			out.WriteString(say(" - ", "——"))
		} else {
			out.WriteString(say("; ", "；"))
		}
		out.WriteString(w)
	}
	return out.String()
}

// what says what is done.
func (d *Decision) what(say func(english, chinese string) string) string {
	none := d.Action == ActionNone
	switch d.Kind {
	case KindRecommendation:
		if none {
			return say("no recommendation", "不推荐")
		}
		const most = 3
		ids := make([]string, 0, most)
		for i := 0; i < len(d.Items) && i < most; i++ {
			ids = append(ids, d.Items[i].ID)
		}
		s := say("show ", "推荐 ") + strings.Join(ids, say(", ", "、"))
		if n := len(d.Items) - len(ids); n > 0 {
			s += say(" and "+strconv.Itoa(n)+" more", " 等 "+strconv.Itoa(len(d.Items))+" 件")
		}
		return s
	case KindCoupon:
		s := say("coupon", "优惠券")
		if o := d.Offer; o != nil {
			s += " " + o.ID
			switch {
			case o.FreeShipping:
				s += say(", free shipping", "，免运费")
			case o.AmountOff != 0:
				s += say(", "+number(o.AmountOff, 2)+" off", "，立减 "+number(o.AmountOff, 2))
			case o.PercentOff != 0:
				s += say(", "+number(o.PercentOff, 2)+" % off", "，减 "+number(o.PercentOff, 2)+"%")
			}
		}
		if none {
			return say("no "+s, "不发"+s)
		}
		return s
	case KindChurn:
		s := say("churn alert", "流失预警")
		if d.Alert != nil {
			s += " " + number(d.Alert.Score*100, 0) + " %"
			if d.Alert.Band != "" {
				s += say(", "+d.Alert.Band, "，"+d.Alert.Band)
			}
		}
		if none {
			return say("no "+s, "不发"+s)
		}
		return s
	case KindAudience:
		if d.Action == ActionEnter {
			return say("belongs to ", "进入人群 ") + d.Name
		}
		return say("no longer belongs to ", "离开人群 ") + d.Name
	}
	return d.Kind + " " + d.Action
}

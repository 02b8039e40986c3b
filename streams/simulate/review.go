package simulate

import (
	"math"
	"strconv"
)

// stars is the rating that goes with an experience.
func stars(experience float32) int {
	return min(max(int(math.Round(3.6+1.3*float64(experience))), 1), 5)
}

// mood is how somebody speaks of one aspect.
type mood uint8

const (
	bad mood = iota
	mixed
	good
	numMoods
)

// writeReview writes what a shopper has to say about an order: two to four sentences on as many aspects, each in a mood
// that is drawn around the experience, so that the words tell of it, but no single word always does.
func (w *World) writeReview(p *person, o *order) {
	defer w.under(p)()
	l := o.lines[w.rand.IntN(int(o.n))]
	it := &w.items[l.item]
	w.head(p, "review.submitted")
	b := append(w.buf, `,"item":"`...)
	b = appendSKU(b, l.no)
	b = append(b, `","props":{"text":"`...)
	lang := 0
	if p.zh {
		lang = 1
	}
	n := 2 + w.rand.IntN(3)
	at := w.rand.IntN(len(aspects))
	for k := range n {
		m := mixed
		if v := float64(o.experience) - 0.1 + 0.45*w.rand.NormFloat64(); v > 0.25 {
			m = good
		} else if v < -0.35 {
			m = bad
		}
		if k > 0 && !p.zh {
			b = append(b, ' ')
		}
		b = appendPhrase(b, pick(w, aspects[(at+k)%len(aspects)][lang][m]), it.noun(p.zh))
	}
	b = append(b, '"')
	if w.rand.Float64() < 0.8 {
		b = append(b, `,"rating":`...)
		b = strconv.AppendInt(b, int64(min(max(stars(o.experience)+int(math.Round(0.4*w.rand.NormFloat64())), 1), 5)), 10)
	}
	if w.rand.Float64() < 0.5 {
		b = append(b, [...]string{`,"lang":"en"`, `,"lang":"zh"`}[lang]...)
	}
	w.buf = append(b, '}')
	w.tail(p, Reviews)
}

func pick(w *World, phrases []string) string { return phrases[w.rand.IntN(len(phrases))] }

// noun is what kind of thing an item is, in English or Chinese.
func (it *item) noun(zh bool) string {
	if zh {
		return categories[it.cat].nounsZH[it.sub][it.kind]
	}
	return categories[it.cat].nouns[it.sub][it.kind]
}

// appendPhrase writes a phrase with the item's name in the place of '%'.
func appendPhrase(b []byte, phrase, noun string) []byte {
	for i := 0; i < len(phrase); i++ {
		if phrase[i] == '%' {
			b = append(b, noun...)
		} else {
			b = append(b, phrase[i])
		}
	}
	return b
}

// aspects are what reviews speak of, by language (English, Chinese) and mood.
var aspects = [...][2][numMoods][]string{
	{ // the thing itself
		{
			bad: {"The % broke after two days.", "Cheap material, it already falls apart.", "The % looks nothing like the picture.",
				"Very disappointed by the %.", "It arrived scratched and smells of plastic.", "Poor quality, I expected much more."},
			mixed: {"The % is okay, nothing special.", "It does what it should, no more.", "Quality is average for the money.",
				"The % is smaller than I thought, but usable."},
			good: {"The % is wonderful, even better than in the picture.", "Excellent quality and beautifully made.",
				"I love this %.", "Solid, well finished, a joy to use.", "Exactly what I was looking for.", "The % works perfectly every day."},
		},
		{
			bad:   {"这个%用了两天就坏了。", "质量太差，材料很廉价。", "和图片完全不一样，很失望。", "收到就有划痕，味道刺鼻。", "做工粗糙，不值得买。"},
			mixed: {"这个%一般般，能用。", "质量中规中矩。", "没有想象中好，也不算差。", "尺寸比预期小一点，凑合用。"},
			good:  {"这个%非常好，比图片还漂亮。", "质量很棒，做工精细。", "很喜欢，每天都在用。", "手感很好，非常满意。", "正是我想要的%。"},
		},
	},
	{ // delivery
		{
			bad: {"Delivery took forever and nobody told me why.", "The parcel came late and the box was crushed.",
				"I waited three weeks for it.", "Left in the rain by the courier."},
			mixed: {"Delivery took a few days longer than promised.", "Shipping was as usual.", "It came on time, the box was a little dented."},
			good: {"Fast delivery, arrived the next day.", "Carefully packed and on time.", "Shipping was quick and free of trouble.",
				"The parcel came earlier than promised."},
		},
		{
			bad:   {"物流太慢，等了三个星期。", "包装压坏了，快递态度也不好。", "迟迟不发货，没有人解释。", "送到的时候箱子都破了。"},
			mixed: {"物流比承诺的慢了几天。", "快递速度一般。", "按时送到，包装有点压痕。"},
			good:  {"物流很快，第二天就到了。", "包装仔细，发货及时。", "快递小哥态度好，送货上门。", "比预计的还早到。"},
		},
	},
	{ // price
		{
			bad: {"Far too expensive for what you get.", "Not worth the money.", "I found it cheaper elsewhere a day later.",
				"A waste of money."},
			mixed: {"The price is fair, not a bargain.", "A bit pricey, but I needed it.", "You get what you pay for."},
			good:  {"Great value for money.", "A bargain at this price.", "Worth every penny.", "Cheaper than anywhere else and just as good."},
		},
		{
			bad:   {"太贵了，不值这个价。", "第二天就降价，很生气。", "别家便宜很多，后悔买了。", "浪费钱。"},
			mixed: {"价格还算合理。", "有点小贵，但是需要。", "一分钱一分货。"},
			good:  {"性价比很高。", "价格实惠，物超所值。", "这个价格太划算了。", "比别家便宜，质量一样好。"},
		},
	},
	{ // service
		{
			bad: {"Customer service never answered.", "They refused the refund and were rude.", "Support kept sending me in circles.",
				"Nobody helped when I complained."},
			mixed: {"Support answered after two days.", "Service was polite but slow.", "The manual could be clearer."},
			good: {"Friendly support that answered at once.", "Customer service was helpful and kind.", "They solved my question within minutes.",
				"Very attentive seller."},
		},
		{
			bad:   {"客服一直不回复。", "退款被拒绝，态度恶劣。", "售后互相推诿，没人管。", "投诉了也没有用。"},
			mixed: {"客服两天才回复。", "服务客气但是慢。", "说明书不太清楚。"},
			good:  {"客服很耐心，马上就回复。", "售后服务周到。", "问题几分钟就解决了。", "卖家很热情。"},
		},
	},
	{ // what follows
		{
			bad: {"I will not order here again.", "Never again.", "I sent it back and want a refund.", "Do not buy this."},
			mixed: {"I might try another one next time.", "Not sure whether I would buy it again.", "For occasional use it is fine.",
				"My sister likes it more than I do."},
			good: {"I will certainly order again.", "Highly recommended.", "Already ordered a second one as a gift.", "My whole family is happy with it."},
		},
		{
			bad:   {"再也不会来买了。", "已经申请退货。", "大家不要买。", "非常后悔。"},
			mixed: {"下次可能试试别的。", "不确定会不会再买。", "偶尔用用还可以。", "先用着看看。"},
			good:  {"下次还会来买。", "强烈推荐给大家。", "又买了一个送朋友。", "全家人都喜欢。"},
		},
	},
}

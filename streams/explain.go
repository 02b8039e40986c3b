package streams

import (
	"fmt"
	"strconv"
	"strings"
)

// Explain says all there is to the decision, on several lines, in the language of that tag: what, when, on what cause,
// with which features and reasons, how likely it was, and what was withheld and why.
func (d *Decision) Explain(lang string) string {
	e := explainer{lang: lang, zh: chinese(lang)}
	e.out.WriteString(d.Words(lang) + "\n")
	e.line("id", "标识", d.ID)
	e.line("time", "时间", timeWords(d.TimeMS))
	if d.ExpiresMS != 0 {
		e.line("expires", "失效", timeWords(d.ExpiresMS))
	}
	e.line("cause", "起因", d.Cause.words(&e))
	if d.Action == ActionNone {
		e.line("action", "动作", e.say("none: nothing is shown; published so that what withholding costs can be estimated", "none：不展示；发布以便估计未执行的代价"))
	} else {
		e.line("action", "动作", d.Action)
	}
	propensity := exact(d.Propensity)
	if d.Explored {
		propensity += e.say(", explored", "，探索")
	}
	e.line("propensity", "倾向概率", propensity)
	if x := d.Experiment; x != nil {
		e.line("experiment", "实验", x.ID+e.say(", arm ", "，分组 ")+x.Arm)
	}
	d.Offer.explain(&e)
	d.Alert.explain(&e)
	e.reasons("reasons", "理由", d.Reasons)
	for i := range d.Items {
		it := &d.Items[i]
		e.line(fmt.Sprintf("item %d", i+1), fmt.Sprintf("商品 %d", i+1), fmt.Sprintf("%s%s%s%s%s", it.ID,
			e.say(", score ", "，得分 "), exact(it.Score), e.say(", propensity ", "，概率 "), exact(it.Propensity)))
		e.reasons("", "", it.Reasons)
	}
	for i, f := range d.Features {
		name := ""
		if i == 0 {
			name = e.say("features", "特征")
		}
		e.line(name, name, f.Name+" = "+f.words())
	}
	if d.Model != (ModelVersion{}) {
		e.line("model", "模型", d.Model.Name+" "+d.Model.Version)
	}
	if d.Policy != "" {
		e.line("policy", "策略", d.Policy)
	}
	return e.out.String()
}

// exact writes a chance or a score with the digits that are published of it: one that is small is not nothing.
func exact(f float64) string { return strconv.FormatFloat(f, 'g', 4, 64) }

func (f *Feature) words() string {
	switch {
	case len(f.List) > 0:
		return strings.Join(f.List, ", ")
	case f.Text != "":
		return f.Text
	}
	return strconv.FormatFloat(f.Value, 'g', 6, 64)
}

// explainer writes lines of a name and a value.
type explainer struct {
	out  strings.Builder
	lang string
	zh   bool
}

func (e *explainer) say(english, chinese string) string {
	if e.zh {
		return chinese
	}
	return english
}

func (e *explainer) line(english, chinese, value string) {
	name, width := english, len(english)
	if e.zh {
		name, width = chinese, 0
		for _, r := range chinese {
			width++
			if r > 0xff { // two columns wide
				width++
			}
		}
	}
	e.out.WriteString("  " + name + strings.Repeat(" ", max(12-width, 1)) + value + "\n")
}

func (e *explainer) reasons(english, chinese string, reasons []Reason) {
	for _, r := range reasons {
		s := r.Words(e.lang) + " [" + r.Code
		if r.With != "" {
			s += " " + r.With
		}
		if r.Weight != 0 {
			s += " " + exact(r.Weight)
		}
		e.line(english, chinese, s+"]")
		english, chinese = "", ""
	}
}

func (c *Cause) words(e *explainer) string {
	if c.Timer != "" {
		s := e.say("the timer ", "定时器 ") + c.Timer + e.say(", due at ", "，到期于 ") + timeWords(c.AtMS)
		if c.ArmedBy != "" {
			s += e.say(", set by event ", "，由事件设置：") + c.ArmedBy
		}
		return s
	}
	if c.Request != "" {
		return e.say("the request ", "请求 ") + c.Request
	}
	s := Position{Topic: c.Topic, Partition: c.Partition, Offset: c.Offset}.String()
	if c.Event != "" {
		s += e.say(", event ", "，事件 ") + c.Event
	}
	return s
}

func (o *Offer) explain(e *explainer) {
	if o == nil {
		return
	}
	s := o.ID
	switch {
	case o.FreeShipping:
		s += e.say(", free shipping", "，免运费")
	case o.AmountOff != 0:
		s += e.say(", "+number(o.AmountOff, 2)+" off", "，立减 "+number(o.AmountOff, 2))
	default:
		s += e.say(", "+number(o.PercentOff, 2)+" % off", "，减 "+number(o.PercentOff, 2)+"%")
	}
	if o.AtMost != 0 {
		s += e.say(", at most ", "，最多 ") + number(o.AtMost, 2)
	}
	if o.Budget != "" {
		s += e.say(", from the budget ", "，预算 ") + o.Budget
	}
	if o.Code != "" {
		s += e.say(", code ", "，券码 ") + o.Code
	}
	e.line("offer", "优惠", s)
}

func (a *Alert) explain(e *explainer) {
	if a == nil {
		return
	}
	s := number(a.Score, 4)
	if a.Band != "" {
		s += e.say(", band ", "，等级 ") + a.Band
	}
	if a.Horizon != "" {
		s += e.say(", over ", "，区间 ") + a.Horizon
	}
	if a.ExpectedValue != 0 {
		s += e.say(", at stake ", "，涉及金额 ") + number(a.ExpectedValue, 2)
	}
	if a.Suggested != "" {
		s += e.say(", suggested: ", "，建议：") + a.Suggested
	}
	e.line("alert", "预警", s)
}

func timeWords(ms int64) string { return string(AppendTime(nil, ms)) }

package operators

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"nudge/engine"
	"nudge/operators/condition"
	"nudge/operators/feature"
	"nudge/streams"
)

// Results is a stream of closed windows: an entry of outputs.features. It goes to exactly one place.
type Results struct {
	Of    []string `yaml:"of" need:"the features whose windows are put out when they close, all of one entity, such as [user.views]"`
	Kafka string   `yaml:"kafka" doc:"a topic, keyed by customer or item"`
	NATS  bool     `yaml:"nats" doc:"in the decision stream, as nudge.<app>.features.<name>.<user> or .<name>.item.<item>"`
	Files string   `yaml:"files" doc:"a folder, in which it is <name>.jsonl"`
}

// places lists where the results are to go.
func (r *Results) places() (to []string) {
	if r.Kafka != "" {
		to = append(to, "kafka")
	}
	if r.NATS {
		to = append(to, "nats")
	}
	if r.Files != "" {
		to = append(to, "files")
	}
	return to
}

// resultFaults lists what is wrong with the streams of closed windows.
func (c *Config) resultFaults(broken []string) (faults []ConfigFault) {
	for _, name := range slices.Sorted(maps.Keys(c.Results)) {
		r, key := c.Results[name], "outputs.features."+name
		switch to := r.places(); {
		case len(to) == 0:
			faults = append(faults, ConfigFault{Key: key, Fault: condition.Fault{Found: "no place to go to", Allowed: "want one of {kafka: TOPIC}, {nats: true}, {files: FOLDER}"}})
		case len(to) > 1:
			faults = append(faults, ConfigFault{Key: key, Fault: condition.Fault{Found: "several places at once: " + strings.Join(to, ", "), Allowed: "want one; declare a second output for the other"}})
		}
		declared := slices.Sorted(maps.Keys(c.Features))
		if len(r.Of) == 0 {
			faults = append(faults, ConfigFault{Key: key + ".of", Fault: condition.Fault{Found: "nothing", Allowed: "want the features whose windows are put out, such as [user.views]"}})
		}
		for i, of := range r.Of {
			at := fmt.Sprintf("%s.of[%d]", key, i)
			if isBroken(of, broken) {
				continue
			}
			entity, own := splitFeature(of)
			_, fault := feature.New(ownFeatures(entity, c.Features), []feature.Output{{Name: name, Features: []string{own}}}, nil)
			f, wrong := fault.(*feature.Fault)
			first, _ := splitFeature(r.Of[0])
			switch {
			case entity == "":
				faults = append(faults, ConfigFault{Key: at, Fault: condition.Fault{Found: strconv.Quote(of), Allowed: "want the name of a feature, such as user.views", Suggestion: nearest(of, declared)}})
			case entity == entityCategory || entity == entitySession:
				faults = append(faults, ConfigFault{Key: at, Fault: condition.Fault{Found: strconv.Quote(of), Allowed: "want features of user, item or global"}})
			case first != "" && entity != first:
				faults = append(faults, ConfigFault{Key: at, Fault: condition.Fault{Found: strconv.Quote(of) + " beside " + strconv.Quote(r.Of[0]), Allowed: "want features of one entity; declare another output for the others"}})
			case wrong && f.Word != "":
				faults = append(faults, ConfigFault{Key: at, Fault: condition.Fault{Found: strconv.Quote(of), Allowed: "want a feature that is declared under features", Suggestion: nearest(of, declared)}})
			case wrong:
				faults = append(faults, ConfigFault{Key: at, Fault: condition.Fault{Found: strings.Replace(f.Found, `"`, `"`+entity+".", 1), Allowed: f.Allowed}})
			}
		}
	}
	return faults
}

func nearest(word string, words []string) string {
	if near := closest(word, words); len(near) > 0 {
		return near[0]
	}
	return ""
}

// Outputs names the streams of closed windows, in the order of their numbers.
func (p *Program) Outputs() []string { return slices.Sorted(maps.Keys(p.config.Results)) }

// closer takes the windows of one entity that close.
type closer struct {
	feature.Closer
	turn        *engine.Turn
	entity      string // "" for a customer
	key         string // the customer, the item
	subject, id []byte
}

// closer readies the closer for the customer of a turn.
func (p *Program) closer(t *engine.Turn, s *scratch) *feature.Closer {
	c := &s.closer
	if c.Emit == nil {
		c.Emit = func(w *feature.Closed) { p.putOut(c, w) }
	}
	c.turn, c.key = t, t.Customer
	c.Entity = streams.AppendJSONString(append(c.Entity[:0], `"user":`...), t.Customer)
	if t.Anonymous {
		c.Entity = append(c.Entity, `,"anonymous":true`...)
	}
	return &c.Closer
}

// putOut hands a closed window to where it goes.
func (p *Program) putOut(c *closer, w *feature.Closed) {
	if !p.published[w.Output] {
		c.id = append(c.id[:0], c.key...)
		c.turn.Result(w.Output, c.id, w.JSON)
		return
	}
	c.subject = streams.AppendFeatureSubject(c.subject[:0], c.turn.App(), p.outputs[w.Output], c.entity, c.key)
	c.id = streams.AppendFeatureID(c.id[:0], c.turn.App(), c.turn.Generation(), &streams.ClosedWindow{Name: p.outputs[w.Output], Window: w.Window,
		StartMS: w.StartMS, EndMS: w.EndMS, Shard: c.turn.Shard(), DueMS: c.turn.DueMS(), User: c.key, Anonymous: c.turn.Anonymous})
	c.turn.Publish(c.subject, c.id, w.JSON)
	c.turn.CountResult(w.Output)
}

// Visit puts out the windows of the customer that close, and looks at whom they belong to.
func (p *Program) Visit(t *engine.Turn, atMS int64) {
	s := t.Scratch.(*scratch)
	c, x := t.State.(*Customer), p.closer(t, s)
	p.features.Due(&c.features, atMS, x)
	for _, next := range x.Visits {
		t.VisitAt(next)
	}
	x.Visits = x.Visits[:0]
	p.visitForecasts(t, c, s, atMS)
	if p.isLook(t, s, atMS) {
		p.lookNightly(t, s)
	}
	if p.nightly && !p.ignoredCustomer(t, c) {
		s.idleMS, s.between = max(0, t.NowMS-c.lastMS), true
		p.review(t, c, s)
		s.between = false
	}
}

// Flush puts out the windows of the customer that are open.
func (p *Program) Flush(t *engine.Turn) {
	c := t.State.(*Customer)
	p.features.Flush(&c.features, t.WatermarkMS, p.closer(t, t.Scratch.(*scratch)))
}

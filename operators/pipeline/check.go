package pipeline

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a zone means the same on every machine, one without a zone database too

	"github.com/goccy/go-yaml/token"

	"nudge/operators"
	"nudge/streams"
)

var (
	currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`)
	topicPattern    = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)
	streamPattern   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// groups are the names by which all deciders of a kind are paused.
var groups = []string{operators.GroupRecommendations, operators.GroupCoupons, operators.GroupChurn}

// checker looks at what only shows once the whole file is known: references, and settings that contradict each other. A
// key that has a fault already gets no second one that follows from it.
type checker struct{ *decoder }

func check(d *decoder, c *Config) {
	k := checker{d}
	k.node(c)
	k.kafka(&c.Kafka)
	k.nats(&c.NATS)
	k.inputs(&c.Inputs)
	k.outputs(c)
	k.money(c)
	k.names(&c.Deciders)
	for _, name := range slices.Sorted(maps.Keys(c.Deciders.Recommenders)) {
		k.recommender("recommenders."+name, c.Deciders.Recommenders[name], c.Deciders.Limits)
	}
	k.halfLives(c.Deciders.Recommenders)
	for _, name := range slices.Sorted(maps.Keys(c.Deciders.Offers)) {
		k.offer("offers."+name, c.Deciders.Offers[name], c.Deciders.Budgets)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Deciders.Churn)) {
		k.churn("churn."+name, c.Deciders.Churn[name])
	}
	for _, name := range slices.Sorted(maps.Keys(c.Deciders.Predictions)) {
		k.events("predictions."+name+".event", c.Deciders.Predictions[name].Event)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Deciders.Ignore)) {
		k.ignore("ignore."+name, c.Deciders.Ignore[name])
	}
	k.traits(c.Deciders.Traits)
	k.conditions(&c.Deciders)
}

// report takes down a fault at the value of a key, unless the key or one that the fault is because of has one already.
func (k checker) report(key, found, allowed, suggestion string, because ...string) {
	if k.follows(append(because, key)...) {
		return
	}
	k.add(k.valuePlace(key), key, found, allowed, suggestion)
}

// follows says whether what is wrong with keys may follow from a fault that was reported of them, or of what is around or in them.
func (k checker) follows(keys ...string) bool {
	for bad := range k.spoilt {
		for _, key := range keys {
			if bad == key || inside(bad, key) || inside(key, bad) {
				return true
			}
		}
	}
	return false
}

// inside says whether a key is one of those in another.
func inside(key, outer string) bool {
	return strings.HasPrefix(key, outer) && len(key) > len(outer) && (key[len(outer)] == '.' || key[len(outer)] == '[')
}

func (k checker) valuePlace(key string) *token.Position {
	if p, ok := k.places[key]; ok && p.value != nil && (p.key == nil || p.value.Line == p.key.Line) {
		return p.value
	}
	return k.nearestPlace(key)
}

// given says whether the file has the key.
func (k checker) given(key string) bool {
	_, ok := k.places[key]
	return ok
}

func (k checker) node(c *Config) {
	switch {
	case k.spoilt["version"]:
	case c.Version > Version:
		k.report("version", strconv.Itoa(c.Version), fmt.Sprintf("this nudge reads version %d; take a newer nudge for this file", Version), "")
	case c.Version < 1:
		k.report("version", strconv.Itoa(c.Version), fmt.Sprintf("allowed: %d", Version), strconv.Itoa(Version))
	}
	if c.App != "" && !streams.ValidToken(c.App) {
		k.report("app", strconv.Quote(short(c.App)), "allowed: 1 to 64 of A-Z, a-z, 0-9, - and _", "")
	}
	if c.Generation != "" && !streams.ValidToken(c.Generation) {
		k.report("generation", strconv.Quote(short(c.Generation)), "allowed: 1 to 64 of A-Z, a-z, 0-9, - and _", "")
	}
	location, err := time.LoadLocation(c.Deciders.Timezone)
	if err != nil || c.Deciders.Timezone == "" || c.Deciders.Timezone == "Local" {
		k.report("timezone", strconv.Quote(short(c.Deciders.Timezone)), "want a zone of the IANA database such as Europe/Berlin, Asia/Shanghai or UTC", "")
	}
	c.location = location
	if c.Dir == "" {
		k.report("dir", `""`, "want the path of a folder", "")
	}
	if epoch, most := c.Epoch.Events, c.Checkpoint.Events; epoch > most {
		k.report("checkpoint.events", strconv.Itoa(most), fmt.Sprintf("allowed: at least epoch.events, %d", epoch), "", "epoch.events")
	}
	if share := c.Node.State; c.Node.Cache > share {
		k.report("limits.cache", c.Node.Cache.String(), "allowed: at most limits.state, "+share.String(), "", "limits.state")
	}
}

func (k checker) kafka(c *Kafka) {
	if len(c.Brokers) == 0 {
		k.report("kafka.brokers", "no broker", "want at least one host:port", "")
	}
	for i, broker := range c.Brokers {
		key := fmt.Sprintf("kafka.brokers[%d]", i)
		if !k.given(key) {
			key = "kafka.brokers"
		}
		if strings.Contains(broker, "@") {
			k.report(key, "an address with a user or password in it (not shown)", "give them as kafka.sasl {mechanism, user, password: {env: NAME}}", "")
			continue
		}
		suggestion := ""
		if _, rest, ok := strings.Cut(broker, "://"); ok {
			suggestion = rest
		} else if !strings.Contains(broker, ":") && broker != "" {
			suggestion = broker + ":9092"
		}
		if !validAddress(broker) {
			k.report(key, strconv.Quote(short(broker)), "want host:port", suggestion)
		}
	}
	k.tls("kafka.tls", &c.TLS)
	sasl := &c.SASL
	switch {
	case sasl.Mechanism == "" && (sasl.User != "" || sasl.Password.IsSet()):
		k.report("kafka.sasl.mechanism", "missing", "needed: one of plain, scram-sha-256, scram-sha-512", "", "kafka.sasl.mechanism")
	case sasl.Mechanism != "" && sasl.User == "":
		k.report("kafka.sasl.user", "missing", "needed: the name to log in with", "")
	case sasl.Mechanism != "" && !sasl.Password.IsSet():
		k.report("kafka.sasl.password", "missing", "needed: {env: NAME} or {file: path}", "")
	}
}

func validAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	n, portErr := strconv.Atoi(port)
	return err == nil && portErr == nil && host != "" && n >= 1 && n <= 65535 && !strings.ContainsAny(host, "/ ")
}

func (k checker) nats(c *NATS) {
	for address := range strings.SplitSeq(c.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(address))
		switch {
		case err == nil && u.User != nil || strings.Contains(address, "@"):
			k.report("nats.url", "a URL with a user or password in it (not shown)", "give them as nats.user and nats.password {env: NAME}, or as nats.credentials", "")
		case err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme):
			suggestion := ""
			if validAddress(address) {
				suggestion = "nats://" + address
			}
			k.report("nats.url", strconv.Quote(short(address)), "want nats://host:port or tls://host:port", suggestion)
		}
	}
	k.path("nats.credentials", c.Credentials)
	ways := 0
	for _, used := range []bool{c.Credentials != "", c.User != "" || c.Password.IsSet(), c.Token.IsSet()} {
		if used {
			ways++
		}
	}
	switch {
	case ways > 1:
		k.report("nats", "several ways to log in", "allowed: one of credentials, user with password, token", "")
	case c.User != "" && !c.Password.IsSet():
		k.report("nats.password", "missing", "needed: {env: NAME} or {file: path}", "")
	case c.User == "" && c.Password.IsSet():
		k.report("nats.user", "missing", "needed: the name to log in with", "")
	}
	k.tls("nats.tls", &c.TLS)
}

func (k checker) tls(key string, c *TLS) {
	for _, file := range []struct{ name, path string }{{"ca", c.CA}, {"cert", c.Cert}, {"key", c.Key}} {
		k.path(key+"."+file.name, file.path)
	}
	switch {
	case !c.Enabled && *c != (TLS{}):
		k.report(key+".enabled", "false beside other settings of TLS", "write enabled: true, or remove them", "true")
	case c.Cert != "" && c.Key == "":
		k.report(key+".key", "missing", "needed: the path of the key of "+key+".cert", "")
	case c.Key != "" && c.Cert == "":
		k.report(key+".cert", "missing", "needed: the path of the certificate of "+key+".key", "")
	case c.InsecureSkipVerify && c.CA != "":
		k.report(key+".insecure_skip_verify", "true beside ca", "a certificate is checked against ca or not at all: remove one", "")
	}
}

// path refuses the contents of a file where its path is wanted: they may be secret.
func (k checker) path(key, path string) {
	if strings.ContainsAny(path, "\n") || strings.Contains(path, "-----BEGIN") {
		k.report(key, "the contents of a file (not shown)", "want the path of the file", "")
	}
}

func (k checker) inputs(c *Inputs) {
	if c.Clickstream.Optional {
		k.report("inputs.clickstream.optional", "true", "the clickstream is always read; remove the line", "false")
	}
	taken := map[string]string{}
	for _, in := range []struct{ key, topic string }{{"inputs.clickstream", c.Clickstream.Topic}, {"inputs.reviews", c.Reviews.Topic}, {"inputs.catalog", c.Catalog.Topic}} {
		key := in.key + ".topic"
		switch {
		case in.topic == "" && in.key == "inputs.clickstream":
			k.report(key, `""`, "the clickstream is always read; name its topic", "clickstream")
		case in.topic == "":
		case !k.topic(key, in.topic):
		case taken[in.topic] != "":
			k.report(key, strconv.Quote(in.topic), "another topic than that of "+taken[in.topic], "")
		}
		if in.topic != "" {
			taken[in.topic] = in.key
		}
	}
}

// topic says whether Kafka takes the name of a topic.
func (k checker) topic(key, topic string) bool {
	if topicPattern.MatchString(topic) && topic != "." && topic != ".." {
		return true
	}
	k.report(key, strconv.Quote(short(topic)), "allowed: 1 to 249 of A-Z, a-z, 0-9, '.', '_' and '-'", "")
	return false
}

// results checks where closed windows go.
func (k checker) results(c *Config) {
	taken := map[string]string{c.Inputs.Clickstream.Topic: "inputs.clickstream", c.Inputs.Reviews.Topic: "inputs.reviews", c.Inputs.Catalog.Topic: "inputs.catalog"}
	for _, name := range slices.Sorted(maps.Keys(c.Outputs.Features)) {
		key := "outputs.features." + name
		switch topic := c.Outputs.Features[name].Kafka; {
		case topic == "" || !k.topic(key+".kafka", topic):
		case taken[topic] != "":
			k.report(key+".kafka", strconv.Quote(topic), "another topic than that of "+taken[topic], "")
		default:
			taken[topic] = key
		}
	}
}

func (k checker) outputs(c *Config) {
	k.results(c)
	out := &c.Outputs.Decisions
	if out.Stream == "" && !k.given("outputs.decisions.stream") {
		out.Stream = "NUDGE_" + strings.ToUpper(c.App) + "_DECISIONS"
	} else if !streamPattern.MatchString(out.Stream) {
		k.report("outputs.decisions.stream", strconv.Quote(short(out.Stream)), "allowed: 1 to 64 of A-Z, a-z, 0-9, - and _", "")
	}
	if out.Replicas%2 == 0 {
		k.report("outputs.decisions.replicas", strconv.Itoa(out.Replicas), "allowed: 1, 3, 5: an even number tolerates no more failures than the odd one below it", strconv.Itoa(out.Replicas-1))
	}
	if out.MaxAge < out.Outage {
		k.report("outputs.decisions.max_age", out.MaxAge.String(), "allowed: at least outputs.decisions.outage, "+out.Outage.String()+": recovery compares with what the stream still holds", "", "outputs.decisions.outage")
	}
	if out.DedupWindow > out.MaxAge {
		k.report("outputs.decisions.dedup_window", out.DedupWindow.String(), "allowed: at most outputs.decisions.max_age, "+out.MaxAge.String(), "", "outputs.decisions.max_age")
	}
}

func (k checker) money(c *Config) {
	if !currencyPattern.MatchString(c.Currency) {
		k.report("currency", strconv.Quote(short(c.Currency)), "want the three letters of ISO 4217, such as EUR or CNY", strings.ToUpper(currencyWord(c.Currency)))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Rates)) {
		key := "rates." + name
		switch {
		case !currencyPattern.MatchString(name):
			k.report(key, strconv.Quote(short(name)), "want the three letters of ISO 4217 as the key, such as USD: 7.12", strings.ToUpper(currencyWord(name)))
		case name == c.Currency:
			k.report(key, name, "it is the pipeline's own currency; remove the line", "")
		case c.Rates[name] == 0:
			k.report(key, "0", "want what one "+name+" is worth in "+c.Currency, "")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Deciders.Budgets)) {
		b, key := c.Deciders.Budgets[name], "budgets."+name
		switch {
		case b.Total == 0 && b.Daily == 0:
			k.report(key, "neither total nor daily", "want at least one of them above 0", "")
		case b.Total != 0 && b.Daily > b.Total:
			k.report(key+".daily", b.Daily.String(), "allowed: at most the total, "+b.Total.String(), "", key+".total")
		}
	}
}

func currencyWord(s string) string {
	if len(s) == 3 && currencyPattern.MatchString(strings.ToUpper(s)) {
		return s
	}
	return ""
}

// names checks the words that the author of the file chose: they end up in subjects, ids and commands.
func (k checker) names(c *operators.Config) {
	taken := map[string]string{}
	for _, section := range []struct {
		key   string
		names []string
	}{
		{"recommenders", slices.Sorted(maps.Keys(c.Recommenders))}, {"offers", slices.Sorted(maps.Keys(c.Offers))},
		{"churn", slices.Sorted(maps.Keys(c.Churn))}, {"budgets", slices.Sorted(maps.Keys(c.Budgets))},
		{"predictions", slices.Sorted(maps.Keys(c.Predictions))}, {"ignore", slices.Sorted(maps.Keys(c.Ignore))}, {"audiences", slices.Sorted(maps.Keys(c.Audiences))},
		{"outputs.features", slices.Sorted(maps.Keys(c.Results))},
	} {
		decides := section.key == "recommenders" || section.key == "offers" || section.key == "churn"
		for _, name := range section.names {
			key := join(section.key, name)
			switch {
			case !namePattern.MatchString(name):
				k.name(key, strconv.Quote(short(name)), "a name is a small letter and up to 47 more small letters, digits and _", fitting(name))
			case decides && slices.Contains(groups, name):
				k.name(key, name, "the name means a group of deciders in nudge pause; choose another", "")
			case decides && taken[name] != "":
				k.name(key, name, "decisions are told apart by this name, and "+join(taken[name], name)+" has it already", "")
			}
			if decides {
				taken[name] = section.key
			}
		}
	}
}

// name reports a fault of a key itself.
func (k checker) name(key, found, allowed, suggestion string) {
	at := k.nearestPlace(key)
	if p := k.places[key]; p.key != nil {
		at = p.key
	}
	k.add(at, key, found, allowed, suggestion)
}

var unfitting = regexp.MustCompile(`[^a-z0-9_]+`)

// fitting makes a name that is allowed of one that is not, or "".
func fitting(name string) string {
	if fit := strings.Trim(unfitting.ReplaceAllString(strings.ToLower(name), "_"), "_"); namePattern.MatchString(fit) {
		return fit
	}
	return ""
}

func (k checker) recommender(key string, r operators.Recommender, limits operators.Limits) {
	k.moment(key+".when", &r.When)
	if len(r.Candidates) == 0 {
		k.report(key+".candidates", "an empty list", "want at least one of "+strings.Join(operators.Sources(), ", "), "")
	}
	for i, c := range r.Candidates {
		if slices.Contains(r.Candidates[:i], c) {
			k.report(fmt.Sprintf("%s.candidates[%d]", key, i), strconv.Quote(c), "it is in the list already; remove one", "")
		}
	}
	if r.Rank.Goal == "" && r.Rank != (operators.Rank{}) {
		k.report(key+".rank.goal", "missing", "needed: what is ranked by: click, cart, order, margin or kept", "")
	}
	for i := range r.Rules {
		k.rule(fmt.Sprintf("%s.rules[%d]", key, i), &r.Rules[i], r.Size)
	}
	if r.History > limits.History {
		k.report(key+".history", strconv.Itoa(r.History), fmt.Sprintf("allowed: at most limits.history, %d", limits.History), "", "limits.history")
	}
}

// rule checks a merchandiser's rule.
func (k checker) rule(key string, r *operators.Rule, size int) {
	forms := 0
	for _, used := range []bool{r.Pin != "", r.Boost != "", r.Bury != ""} {
		if used {
			forms++
		}
	}
	switch {
	case forms != 1:
		k.report(key, map[bool]string{true: "nothing", false: "several things at once"}[forms == 0], "want one of {pin: SKU-1, at: 1}, {boost: a condition, by: 2}, {bury: a condition}, each with from and until if it is for a time", "")
	case r.Pin == "" && k.given(key+".at"):
		k.report(key+".at", strconv.Itoa(r.At), "it goes with pin, which is not given; remove it", "")
	case r.Boost == "" && k.given(key+".by"):
		k.report(key+".by", strconv.FormatFloat(r.By, 'g', -1, 64), "it goes with boost, which is not given; remove it", "")
	case r.Pin != "" && r.At > size:
		k.report(key+".at", strconv.Itoa(r.At), fmt.Sprintf("allowed: at most the size of the list, %d", size), "")
	}
	if from, until := r.From.String(), r.Until.String(); from != "" && until != "" && until < from {
		k.report(key+".until", until, "allowed: from on, "+from, "", key+".from")
	}
}

// halfLives makes sure that the recommenders agree on what they share: all score with the same models.
func (k checker) halfLives(recommenders map[string]operators.Recommender) {
	names := slices.Sorted(maps.Keys(recommenders))
	for _, name := range names[min(1, len(names)):] {
		r, key := recommenders[name], "recommenders."+name
		first, firstKey := recommenders[names[0]], "recommenders."+names[0]
		for _, shared := range []struct {
			word       string
			got, other operators.Duration
		}{{"half_life", r.HalfLife, first.HalfLife}, {"trend_half_life", r.TrendHalfLife, first.TrendHalfLife}} {
			if shared.got != shared.other {
				k.report(join(key, shared.word), shared.got.String(), "allowed: the same as "+join(firstKey, shared.word)+", "+shared.other.String()+
					": all recommenders score with the same models", "", join(firstKey, shared.word))
			}
		}
	}
}

func (k checker) events(key string, names []string) {
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", key, i)
		if !k.given(at) {
			at = key
		}
		k.event(at, name)
		if slices.Contains(names[:i], name) {
			k.report(at, strconv.Quote(short(name)), "it is in the list already; remove one", "")
		}
	}
}

// event checks the name of an event that customers send.
func (k checker) event(key, name string) {
	switch t := streams.ParseType(name); {
	case t == streams.Invalid:
		customer := slices.DeleteFunc(streams.TypeNames(), func(n string) bool { return notOfCustomers(streams.ParseType(n)) })
		k.report(key, strconv.Quote(short(name)), "want an event type such as page.viewed, order.completed or custom.<name>; all are in deploy/EVENTS.md", nearest(name, customer))
	case notOfCustomers(t):
		k.report(key, strconv.Quote(name), "want an event of a customer's doing; this one never reaches a decider", "")
	}
}

func notOfCustomers(t streams.Type) bool {
	return t.Catalogue() || t == streams.UserErased || t == streams.UserMerged
}

func (k checker) offer(key string, o operators.Offer, budgets map[string]operators.Budget) {
	k.moment(key+".when", &o.When)
	declared := slices.Sorted(maps.Keys(budgets))
	if _, ok := budgets[o.Budget]; !ok && !k.spoilt["budgets"] {
		allowed := "allowed: " + strings.Join(declared, ", ")
		if len(declared) == 0 {
			allowed = "no budget is declared: add one under budgets, such as " + budgetName(o.Budget) + ": {total: 10000, daily: 500}"
		}
		k.report(key+".budget", strconv.Quote(short(o.Budget)), allowed, nearest(o.Budget, declared), "budgets."+o.Budget)
	}
	g, at := o.Gives, key+".gives"
	forms := 0
	for _, used := range []bool{g.PercentOff != 0, g.AmountOff != 0, g.FreeShipping} {
		if used {
			forms++
		}
	}
	switch {
	case forms != 1:
		found := "nothing"
		if forms > 1 {
			found = "several things at once"
		}
		k.report(at, found, "want one of {percent_off, at_most}, {amount_off}, {free_shipping: true, costs}", "")
	case g.PercentOff != 0 && g.AtMost == 0:
		k.report(at+".at_most", "missing", "needed: the most that percent_off may give, which is what the budget sets aside", "")
	case g.PercentOff == 0 && g.AtMost != 0:
		k.report(at+".at_most", g.AtMost.String(), "it limits percent_off, which is not given; remove it", "")
	case g.FreeShipping && g.Costs == 0:
		k.report(at+".costs", "missing", "needed: what shipping costs the shop, which is what the budget pays", "")
	case !g.FreeShipping && g.Costs != 0:
		k.report(at+".costs", g.Costs.String(), "it goes with free_shipping, which is not given; remove it", "")
	default:
		k.payable(at, g, o.Budget, budgets[o.Budget])
	}
}

// payable makes sure that a budget has what a coupon may cost: what costs more than a day's, or all of it, is never given.
func (k checker) payable(at string, g operators.Gives, name string, b operators.Budget) {
	key, cost := at+".at_most", g.AtMost
	switch {
	case g.AmountOff != 0:
		key, cost = at+".amount_off", g.AmountOff
	case g.FreeShipping:
		key, cost = at+".costs", g.Costs
	}
	limit, limitKey := b.Daily, "budgets."+name+".daily"
	if limit == 0 {
		limit, limitKey = b.Total, "budgets."+name+".total"
	}
	if limit != 0 && cost > limit {
		k.report(key, cost.String(), fmt.Sprintf("allowed: at most %s, %s: a coupon that costs more is never given", limitKey, limit), "", limitKey)
	}
}

func budgetName(budget string) string {
	if namePattern.MatchString(budget) {
		return budget
	}
	return "q4"
}

func (k checker) churn(key string, c operators.Churn) {
	k.event(key+".after", c.After)
	if c.Clear >= c.Threshold {
		k.report(key+".clear", strconv.FormatFloat(c.Clear, 'g', -1, 64), "allowed: less than threshold, "+strconv.FormatFloat(c.Threshold, 'g', -1, 64)+", or the alert would flap", "", key+".threshold")
	}
}

// What an ignore rule may match on.
var contextFields = []string{"context.channel", "context.locale", "context.page", "context.referrer", "context.campaign", "context.device", "context.source"}

func (k checker) traits(names []string) {
	for i, name := range names {
		key := "traits[" + strconv.Itoa(i) + "]"
		switch {
		case name == "" || len(name) > 64:
			k.report(key, strconv.Quote(name), "want the name of a trait as user.updated has it, at most 64 bytes", "")
		case slices.Contains(names[:i], name):
			k.report(key, strconv.Quote(name), "it is in the list already; remove one", "")
		}
	}
	if len(names) > operators.MaxTraits {
		k.report("traits", strconv.Itoa(len(names))+" traits", "allowed: "+strconv.Itoa(operators.MaxTraits)+", with those that conditions name", "")
	}
}

func (k checker) ignore(key string, rule operators.IgnoreRule) {
	for _, field := range slices.Sorted(maps.Keys(rule.Match)) {
		trait, isTrait := strings.CutPrefix(field, "trait.")
		switch {
		case isTrait && trait != "" && len(trait) <= 64:
		case !slices.Contains(contextFields, field):
			known := append([]string{"more_than", "per", "trait." + trait}, contextFields...)
			k.name(join(key, field), "unknown key", "allowed here: "+strings.Join(contextFields, ", ")+", trait.<name>, or more_than with per", nearest(field, known))
			continue
		}
		if len(rule.Match[field]) == 0 {
			k.report(join(key, field), "no value", "want the values that are ignored, such as [bot, crawler]", "")
		}
	}
	counts := rule.MoreThan != 0 || rule.Per != 0
	switch {
	case counts && len(rule.Match) > 0:
		k.report(key, "fields beside more_than", "a rule matches fields or counts events: write two rules", "")
	case rule.MoreThan != 0 && rule.Per <= 0:
		k.report(key+".per", "missing", "needed: the time in which more_than events are too many, such as 1m", "")
	case rule.Per != 0 && rule.MoreThan == 0:
		k.report(key+".more_than", "missing", "needed: how many events in that time are still well", "")
	case !counts && len(rule.Match) == 0:
		k.report(key, "an empty rule", "want fields such as context.device: [bot], or {more_than: 120, per: 1m}", "")
	}
}

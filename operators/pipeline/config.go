package pipeline

import (
	"time"

	"nudge/operators"
)

// Version is the version of the format that this package reads.
const Version = 1

// Config is a pipeline file, validated. It is not changed after Load.
type Config struct {
	Version    int                          `yaml:"version" need:"write version: 1"`
	App        string                       `yaml:"app" need:"write a short name such as app: shop; it stands in every subject and id"`
	Generation string                       `yaml:"generation"` // enters every id, for topics that were created anew
	Currency   string                       `yaml:"currency"`
	Rates      map[string]operators.Decimal `yaml:"rates"` // what one unit of another currency is worth in Currency

	Kafka Kafka  `yaml:"kafka"`
	NATS  NATS   `yaml:"nats"`
	Dir   string `yaml:"dir"` // state and journal

	Inputs Inputs `yaml:"inputs"`
	Time   Time   `yaml:"time"`

	// Deciders is what is decided: timezone, recommenders, offers, churn, budgets, holdout, ignore and limits.
	Deciders operators.Config `yaml:",inline"`

	Outputs Outputs `yaml:"outputs"`
	// Node is the other part of the section limits: what bounds a node and not a decision.
	Node       Node               `yaml:"limits"`
	Checkpoint Checkpoint         `yaml:"checkpoint"`
	Epoch      Epoch              `yaml:"epoch"`
	Lease      operators.Duration `yaml:"lease" allow:"1s..10m"` // how long a node that stopped answering keeps its place

	text     []byte
	location *time.Location
}

// Kafka is where events come from.
type Kafka struct {
	Brokers []string `yaml:"brokers"` // host:port
	TLS     TLS      `yaml:"tls"`
	SASL    SASL     `yaml:"sasl"`
}

// TLS is how a connection is encrypted. The files are PEM.
type TLS struct {
	Enabled            bool   `yaml:"enabled"`
	CA                 string `yaml:"ca"`   // path; "" for the system's
	Cert               string `yaml:"cert"` // path of a client certificate
	Key                string `yaml:"key"`  // path of its key
	ServerName         string `yaml:"server_name"`
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify"`
}

// SASL is how a node says to Kafka who it is.
type SASL struct {
	Mechanism string `yaml:"mechanism" allow:"plain|scram-sha-256|scram-sha-512"`
	User      string `yaml:"user"`
	Password  Secret `yaml:"password"`
}

// NATS is where decisions go.
type NATS struct {
	URL         string `yaml:"url"`         // one or several, separated by commas
	Credentials string `yaml:"credentials"` // path of a .creds file
	User        string `yaml:"user"`
	Password    Secret `yaml:"password"`
	Token       Secret `yaml:"token"`
	TLS         TLS    `yaml:"tls"`
}

// Inputs are the topics that are read. Clickstream and reviews are keyed by customer and have equally many partitions.
type Inputs struct {
	Clickstream Input `yaml:"clickstream"`
	Reviews     Input `yaml:"reviews"`
	Catalog     Input `yaml:"catalog"`
}

// Input is one topic.
type Input struct {
	Topic    string `yaml:"topic"` // "": not read
	Format   string `yaml:"format" allow:"native|segment|ga4|cloudevents|auto"`
	Strict   bool   `yaml:"strict"`   // unknown top-level fields are dead letters
	Optional bool   `yaml:"optional"` // if the topic does not exist when nudge starts, go on without it
}

// Time is what event time tolerates.
type Time struct {
	Lateness operators.Duration `yaml:"lateness" allow:"0s..1h"`   // how much later than its time a record may arrive and still be in order
	KeepLate operators.Duration `yaml:"keep_late" allow:"0s..30d"` // how long a late event still updates what it belongs to
	Idle     operators.Duration `yaml:"idle" allow:"100ms..10m"`   // a partition without news for so long holds nobody up
}

// Outputs are what is published.
type Outputs struct {
	Decisions Decisions                    `yaml:"decisions"`
	Features  map[string]operators.Results `yaml:"features"` // closed windows, by name
}

// Decisions is the JetStream stream that decisions are stored in.
type Decisions struct {
	Stream      string             `yaml:"stream"` // "": NUDGE_<APP>_DECISIONS
	Replicas    int                `yaml:"replicas" allow:"1..5"`
	DedupWindow operators.Duration `yaml:"dedup_window" allow:"1s..7d"`
	Storage     string             `yaml:"storage" allow:"file|memory"`
	MaxAge      operators.Duration `yaml:"max_age" allow:"1h..3650d"`
	Outage      operators.Duration `yaml:"outage" allow:"1m..90d"` // the longest outage after which nothing is lost or doubled; decisions are kept at least so long
}

// Node bounds what a node takes.
type Node struct {
	RememberedIDs int                `yaml:"remembered_ids" allow:"1..1000"` // of a customer's events, to know a second one
	ForgetAfter   operators.Duration `yaml:"forget_after" allow:"1d..3650d"` // a customer silent for so long is forgotten
	Cache         Bytes              `yaml:"cache" allow:"16MiB..256GiB"`    // customers held in memory
	State         Bytes              `yaml:"state" allow:"512MiB..16TiB"`    // on disk, journal included; at nine tenths of it the node says so, beyond it takes no more input
}

// Checkpoint is when state becomes durable: at whichever comes first.
type Checkpoint struct {
	Every  operators.Duration `yaml:"every" allow:"100ms..10m"`
	Events int                `yaml:"events" allow:"1000..100000000"`
	Redo   operators.Duration `yaml:"redo" allow:"500ms..10m"` // what a start after a kill folds again at most, by the time that folding it took
}

// Epoch is how much is folded at once: whichever comes first.
type Epoch struct {
	Events int                `yaml:"events" allow:"1..65536"`
	Wait   operators.Duration `yaml:"wait" allow:"0s..1s"` // how long a partly filled epoch waits for more
}

// Text returns the bytes that the Config was read from. They are not to be changed.
func (c *Config) Text() []byte { return c.text }

// Location is the time zone of budget days.
func (c *Config) Location() *time.Location { return c.location }

// Overrides are the settings that the command line may put in the place of the file's. Empty ones change nothing. They
// say where a node runs, never what it decides, so they are not part of Text.
type Overrides struct {
	Brokers []string
	NATS    string
	Dir     string
}

// With returns a copy of the Config with the overrides in it.
func (c *Config) With(o Overrides) *Config {
	changed := *c
	if len(o.Brokers) > 0 {
		changed.Kafka.Brokers = o.Brokers
	}
	if o.NATS != "" {
		changed.NATS.URL = o.NATS
	}
	if o.Dir != "" {
		changed.Dir = o.Dir
	}
	return &changed
}

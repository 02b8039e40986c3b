package deploy

// A Metric is one that nudge serves on /metrics.
type Metric struct {
	Name, Kind string // Kind: counter, gauge or histogram
	Labels     []string
	Help       string
}

// Metrics is what alerts and dashboards may ask for, beside those of the Go runtime and the process. No label names a customer or an item: labels have few values.
var Metrics = []Metric{
	{"nudge_events_total", "counter", []string{"topic"}, "Events folded."},
	{"nudge_decisions_total", "counter", []string{"kind", "action"}, "Decisions published, withheld ones among them."},
	{"nudge_dead_letters_total", "counter", []string{"reason"}, "Records that were refused."},
	{"nudge_late_total", "counter", nil, "Events that came too late to count."},
	{"nudge_duplicates_total", "counter", nil, "Events whose id the customer had sent before."},
	{"nudge_stale_total", "counter", nil, "Decisions that had expired when their epoch arrived."},
	{"nudge_ignored_total", "counter", []string{"rule"}, "Events kept out of every model by a rule of ignore."},
	{"nudge_counted_total", "counter", []string{"what"}, "What else happened, by the names of nudge status: items_evicted, late/features, merged, returns/unknown_order and their like."},
	{"nudge_lag_records", "gauge", []string{"topic", "partition"}, "Records between the last one folded and the end of the log."},
	{"nudge_retention_headroom_records", "gauge", []string{"topic", "partition"}, "Records between the start of the log and the next one to read."},
	{"nudge_epoch_events", "histogram", nil, "Records in an epoch."},
	{"nudge_epoch_duration_seconds", "histogram", nil, "Folding an epoch."},
	{"nudge_checkpoint_duration_seconds", "histogram", nil, "From a checkpoint's begin to its completion."},
	{"nudge_checkpoint_bytes", "gauge", nil, "Bytes that the last complete checkpoint wrote."},
	{"nudge_checkpoint_completed_timestamp_seconds", "gauge", nil, "When the last checkpoint was complete; 0 before the first since the start."},
	{"nudge_publish_latency_seconds", "histogram", nil, "From an epoch's cut to the acknowledgement of its last decision."},
	{"nudge_cache_hits_total", "counter", nil, "Customers found in memory."},
	{"nudge_cache_misses_total", "counter", nil, "Customers read from the store."},
	{"nudge_memory_bytes", "gauge", nil, "Memory of customers held."},
	{"nudge_budget_spent", "gauge", []string{"budget"}, "Granted from a budget, in units of currency."},
	{"nudge_budget_limit", "gauge", []string{"budget"}, "What the budget has, in units of currency."},
	{"nudge_budget_day_spent", "gauge", []string{"budget"}, "Granted from a budget today, in units of currency."},
	{"nudge_budget_day_limit", "gauge", []string{"budget"}, "What the budget has for a day, in units of currency."},
	{"nudge_state_bytes", "gauge", nil, "Bytes of the state folder, journal included, as of the last checkpoint."},
	{"nudge_state_limit_bytes", "gauge", nil, "limits.state; 0 is no limit."},
	{"nudge_paused", "gauge", []string{"name"}, "1 while the decider or group is paused."},
	{"nudge_waiting", "gauge", []string{"what"}, "1 while the node waits for it."},
}

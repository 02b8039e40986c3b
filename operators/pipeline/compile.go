package pipeline

import (
	"nudge/engine"
	"nudge/operators"
	"nudge/streams"
)

// Compile makes the program of a setup, and the engine's configuration but for what only says how a node runs (Parallel,
// ActOnStale). The setup's inputs are the topics of Topics, in that order.
func Compile(s engine.Setup) (engine.Config, *operators.Program, error) {
	c, faults := Parse("the journalled pipeline", s.Definition)
	if err := faults.Err(); err != nil {
		return engine.Config{}, nil, err
	}
	program, err := operators.New(c.Deciders, s.Definition)
	if err != nil {
		return engine.Config{}, nil, err
	}
	cfg := engine.Config{
		App: c.App, Generation: c.Generation, Definition: s.Definition,
		LatenessMS: c.Time.Lateness.MS(), KeepLateMS: c.Time.KeepLate.MS(), ForgetAfterMS: c.Node.ForgetAfter.MS(),
		RememberedIDs: c.Node.RememberedIDs, OutageMS: c.Outputs.Decisions.Outage.MS(), CacheBytes: int64(c.Node.Cache),
	}
	inputs, currencies := c.Topics(), c.Currencies()
	for i, t := range s.Inputs {
		in := inputs[i]
		format, err := streams.ParseFormat(in.Format)
		if err != nil {
			return engine.Config{}, nil, err
		}
		cfg.Inputs = append(cfg.Inputs, engine.Input{Topic: t, NewDecoder: func() *streams.Decoder {
			d := streams.NewDecoder(format)
			d.Strict, d.Currencies = in.Strict, currencies
			return d
		}})
	}
	return cfg, program, nil
}

// Topics are the topics that are read, in the order in which the engine numbers its inputs. The last one is the catalogue.
func (c *Config) Topics() []Input {
	return []Input{c.Inputs.Clickstream, c.Inputs.Reviews, c.Inputs.Catalog}
}

// Currencies is what money is turned into, and what other currencies are worth.
func (c *Config) Currencies() *streams.Currencies {
	rates := make(map[string]int64, len(c.Rates))
	for name, rate := range c.Rates {
		rates[name] = int64(rate)
	}
	return &streams.Currencies{Own: c.Currency, Rates: rates}
}

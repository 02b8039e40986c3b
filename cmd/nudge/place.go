package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"nudge/deploy"
	"nudge/operators/pipeline"
	"nudge/streams/nats"
)

// place is where a pipeline runs: its file, and the flags that stand in for the file's brokers and folder.
type place struct {
	file string
	over pipeline.Overrides
	app  string
}

// The flags that a place can have beside -c.
const (
	withKafka = 1 << iota
	withNATS
	withDir
	withApp
)

func (p *place) flags(cmd *cobra.Command, which int) {
	f := cmd.Flags()
	f.StringVarP(&p.file, "config", "c", "", "pipeline `FILE`; without it the default pipeline, deploy/shop.yaml")
	if which&withKafka != 0 {
		f.StringSliceVar(&p.over.Brokers, "kafka", nil, "Kafka brokers, `HOST:PORT,...`, in the place of the pipeline's")
	}
	if which&withNATS != 0 {
		f.StringVar(&p.over.NATS, "nats", "", "NATS servers, `URL,...`, in the place of the pipeline's")
	}
	if which&withDir != 0 {
		f.StringVar(&p.over.Dir, "dir", "", "state folder `DIR`, in the place of the pipeline's")
	}
	if which&withApp != 0 {
		f.StringVar(&p.app, "app", "", "`APP` whose decisions to read, in the place of the pipeline's: replays publish under another one")
	}
}

// config reads the pipeline and puts the flags in.
func (p *place) config() (*pipeline.Config, error) {
	var config *pipeline.Config
	if p.file == "" {
		parsed, faults := pipeline.Parse("deploy/shop.yaml", deploy.Shop)
		if err := faults.Err(); err != nil {
			return nil, err
		}
		config = parsed
	} else {
		loaded, err := pipeline.Load(p.file)
		if err != nil {
			return nil, err
		}
		config = loaded
	}
	config = config.With(p.over)
	if p.app != "" {
		config.App, config.Outputs.Decisions.Stream = p.app, ""
	}
	return config, nil
}

// lookWithin is how long a command that only looks waits for a broker that is away.
const lookWithin = 10 * time.Second

// openStream connects to NATS and to the decision stream of the pipeline, to look at it.
func (p *place) openStream(ctx context.Context, log *zap.Logger) (*nats.Conn, *nats.Stream, error) {
	config, err := p.config()
	if err != nil {
		return nil, nil, err
	}
	opening, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	conn, err := openNATS(opening, &config.NATS, "nudge", quiet(log), nil)
	if err != nil {
		return nil, nil, err
	}
	want := streamConfig(config)
	want.Existing = true // who only looks makes nothing
	stream, err := conn.OpenStream(opening, want)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, stream, nil
}

// topicOf is the input of the pipeline that reads a topic.
func topicOf(config *pipeline.Config, topic string) (pipeline.Input, error) {
	var names []string
	for _, in := range []pipeline.Input{config.Inputs.Clickstream, config.Inputs.Reviews, config.Inputs.Catalog} {
		if in.Topic == topic && topic != "" {
			return in, nil
		}
		if in.Topic != "" {
			names = append(names, in.Topic)
		}
	}
	return pipeline.Input{}, errors.New("topic " + topic + " is none of the pipeline's: " + strings.Join(names, ", "))
}

// quiet keeps what only a node's log needs out of a short command's: that it has connected.
func quiet(log *zap.Logger) *zap.Logger { return log.WithOptions(zap.IncreaseLevel(zap.WarnLevel)) }

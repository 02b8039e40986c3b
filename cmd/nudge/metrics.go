package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"nudge/operators"
)

// serveMetrics serves /metrics, /livez and /readyz until it is stopped.
func serveMetrics(addr string, o *opened, log *zap.Logger) (stop func(), err error) {
	own := prometheus.NewRegistry()
	own.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), budgetCollector{o})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers{o.node.Metrics().Registry, own}, promhttp.HandlerOpts{ErrorLog: zap.NewStdLog(log)}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if o.node.Ready() {
			fmt.Fprintln(w, "ready")
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		if what := o.node.Waiting(); what != "" {
			fmt.Fprintf(w, "waiting for %s\n", what)
			return
		}
		fmt.Fprintln(w, "recovering")
	})
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--metrics-addr %s: %w", addr, err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: zap.NewStdLog(log)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are not served any more", zap.Error(err))
		}
	}()
	log.Info("serving metrics", zap.String("address", listener.Addr().String()))
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
		<-done
	}, nil
}

// budgetCollector tells what the budgets have and have spent, when it is asked.
type budgetCollector struct{ o *opened }

var (
	budgetSpent = prometheus.NewDesc("nudge_budget_spent", "Granted from a budget, in units of currency.", []string{"budget"}, nil)
	budgetLimit = prometheus.NewDesc("nudge_budget_limit", "What the budget has, in units of currency.", []string{"budget"}, nil)
	daySpent    = prometheus.NewDesc("nudge_budget_day_spent", "Granted from a budget today, in units of currency.", []string{"budget"}, nil)
	dayLimit    = prometheus.NewDesc("nudge_budget_day_limit", "What the budget has for a day, in units of currency.", []string{"budget"}, nil)
)

func (b budgetCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{budgetSpent, budgetLimit, daySpent, dayLimit} {
		to <- d
	}
}

func (b budgetCollector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), statusWithin)
	defer cancel()
	var budgets []operators.Spending
	if b.o.look(ctx, func(v *view) error { budgets = v.program.Spent(); return nil }) != nil {
		return // the node is still recovering, or waits: the other metrics say so
	}
	today := time.Now().In(b.o.config.Location()).Format(time.DateOnly)
	for _, x := range budgets {
		gauge := func(d *prometheus.Desc, v float64) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, x.Name)
		}
		gauge(budgetSpent, x.Spent)
		if x.Total > 0 {
			gauge(budgetLimit, x.Total)
		}
		if x.Daily > 0 {
			gauge(dayLimit, x.Daily)
			spent := 0.0 // nothing yet, if the last day on which something was spent is an earlier one
			if x.Day >= today {
				spent = x.SpentOnDay
			}
			gauge(daySpent, spent)
		}
	}
}

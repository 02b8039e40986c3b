package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"nudge/engine/node"
	"nudge/operators"
)

// page serves /metrics, /livez and /readyz: also while the node's brokers are still waited for, so that nobody takes a node
// that waits for a dead one.
type page struct {
	server *http.Server
	done   chan struct{}
	log    *zap.Logger
	node   atomic.Pointer[http.ServeMux] // nil until there is a node
	early  earlyWaits
}

// earlyWaits is what is waited for before there is a node, by broker.
type earlyWaits struct {
	mu sync.Mutex
	on map[string]string
}

// tell notes what is waited for; "" for nothing any more.
func (w *earlyWaits) tell(broker, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on == nil {
		w.on = map[string]string{}
	}
	if w.on[broker] = what; what == "" {
		delete(w.on, broker)
	}
}

func (w *earlyWaits) words() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Values(w.on))
}

// Describe and Collect make it the metric that the node has later.
func (w *earlyWaits) Describe(to chan<- *prometheus.Desc) { to <- node.WaitingDesc }

// Collect is the other half of Describe.
func (w *earlyWaits) Collect(to chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for broker := range w.on {
		to <- prometheus.MustNewConstMetric(node.WaitingDesc, prometheus.GaugeValue, 1, broker)
	}
}

// servePage serves until stop is called; nothing at all without an address.
func servePage(addr string, log *zap.Logger) (*page, error) {
	p := &page{log: log, done: make(chan struct{})}
	if addr == "" {
		close(p.done)
		return p, nil
	}
	own := prometheus.NewRegistry()
	own.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &p.early)
	early := http.NewServeMux()
	early.Handle("GET /metrics", promhttp.HandlerFor(own, promhttp.HandlerOpts{ErrorLog: zap.NewStdLog(log)}))
	early.HandleFunc("GET /livez", alive)
	early.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		for _, what := range p.early.words() {
			fmt.Fprintln(w, what)
		}
		fmt.Fprintln(w, "waiting for the brokers")
	})
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--metrics-addr %s: %w", addr, err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mux := p.node.Load(); mux != nil {
			mux.ServeHTTP(w, r)
			return
		}
		early.ServeHTTP(w, r)
	})
	p.server = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: zap.NewStdLog(log)}
	go func() {
		defer close(p.done)
		if err := p.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are not served any more", zap.Error(err))
		}
	}()
	log.Info("serving metrics", zap.String("address", listener.Addr().String()))
	return p, nil
}

func alive(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") }

// show has the page tell of a node from now on.
func (p *page) show(o *opened) {
	own := prometheus.NewRegistry()
	own.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), budgetCollector{o})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers{o.node.Metrics().Registry, own}, promhttp.HandlerOpts{ErrorLog: zap.NewStdLog(p.log)}))
	mux.HandleFunc("GET /livez", alive)
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
	p.node.Store(mux)
}

func (p *page) stop() {
	if p.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if p.server.Shutdown(ctx) != nil {
			p.server.Close()
		}
	}
	<-p.done
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

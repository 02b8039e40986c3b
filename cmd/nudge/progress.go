package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// progress is a bar with the time that is left, on a terminal; elsewhere it is silent.
type progress struct {
	what string
	out  io.Writer // nil: silent

	mu    sync.Mutex
	began time.Time
	drawn time.Time
}

func newProgress(what string, talk io.Writer) *progress {
	p := &progress{what: what, began: time.Now()}
	if isTerminal(talk) {
		p.out = talk
	}
	return p
}

// update draws the bar, at most ten times a second.
func (p *progress) update(done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.out == nil || total == 0 || now.Sub(p.drawn) < 100*time.Millisecond {
		return
	}
	p.drawn = now
	const width = 30
	share := min(float64(done)/float64(total), 1)
	took := now.Sub(p.began)
	left := "?"
	if done > 0 {
		left = time.Duration(float64(took) * (1 - share) / share).Round(time.Second).String()
	}
	full := int(share * width)
	fmt.Fprintf(p.out, "\r%s [%s%s] %3.0f %%  %d of %d, %.0f/s, %s left\x1b[K", p.what, strings.Repeat("=", full), strings.Repeat(" ", width-full),
		share*100, done, total, float64(done)/took.Seconds(), left)
}

// end takes the bar away.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out != nil && !p.drawn.IsZero() {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

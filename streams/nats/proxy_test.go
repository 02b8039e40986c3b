package nats

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy stands between a client and a server and breaks what passes through it.
type proxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	links map[*link]struct{}
	mute  bool // answers of the server are thrown away
	hold  bool // bytes of the client are kept back, also after it has gone
	left  int  // bytes of the client after which hold sets in; 0: it does not
	held  chan struct{}
	cond  *sync.Cond
}

// link is one connection through the proxy.
type link struct{ client, server net.Conn }

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, links: map[*link]struct{}{}, held: make(chan struct{}, 1)}
	p.cond = sync.NewCond(&p.mu)
	go p.accept()
	t.Cleanup(func() {
		l.Close()
		p.set(false, false)
		p.cut()
	})
	return p
}

func (p *proxy) url() string { return "nats://" + p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		l := &link{client, server}
		p.mu.Lock()
		p.links[l] = struct{}{}
		p.mu.Unlock()
		go p.answers(l)
		go p.requests(l)
	}
}

// answers passes on what the server says.
func (p *proxy) answers(l *link) {
	defer l.client.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := l.server.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		mute := p.mute
		p.mu.Unlock()
		if !mute {
			if _, err := l.client.Write(buf[:n]); err != nil {
				io.Copy(io.Discard, l.server) // the server must not notice that nobody reads
				return
			}
		}
	}
}

// requests passes on what the client says, if need be after it has gone.
func (p *proxy) requests(l *link) {
	defer l.server.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := l.client.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			some := p.may(rest)
			if _, werr := l.server.Write(some); werr != nil {
				return
			}
			rest = rest[len(some):]
		}
		if err != nil {
			return
		}
	}
}

// may waits while bytes are held, and says which may pass.
func (p *proxy) may(b []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.hold {
		p.cond.Wait()
	}
	if p.left == 0 {
		return b
	}
	b = b[:min(len(b), p.left)]
	if p.left -= len(b); p.left == 0 {
		p.hold = true
		p.held <- struct{}{}
	}
	return b
}

// holdAfter lets so many bytes of the client pass and holds the rest. held is sent to then.
func (p *proxy) holdAfter(bytes int) {
	p.mu.Lock()
	p.left = bytes
	p.mu.Unlock()
}

// set throws the server's answers away, and keeps the client's bytes back, from now on.
func (p *proxy) set(mute, hold bool) {
	p.mu.Lock()
	p.mute, p.hold = mute, hold
	p.mu.Unlock()
	p.cond.Broadcast()
}

// cut ends every connection of the client.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.client.Close()
		delete(p.links, l)
	}
}

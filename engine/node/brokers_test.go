package node_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"nudge/engine/node"
	"nudge/streams/embedded"
)

// brokerChild is the environment variable that makes TestBrokerProcess serve: kind, port and folder, with spaces between.
const brokerChild = "NUDGE_BROKER_CHILD"

// TestBrokerProcess is a broker in a process of its own, for the tests that kill one. It serves until its standard input ends.
func TestBrokerProcess(t *testing.T) {
	text := os.Getenv(brokerChild)
	if text == "" {
		t.Skip("it serves the other tests")
	}
	var kind, dir string
	var port int
	if _, err := fmt.Sscan(text, &kind, &port, &dir); err != nil {
		t.Fatal(err)
	}
	switch kind {
	case "kafka":
		k, err := embedded.StartKafka(dir, port, testLog())
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		fmt.Println("ADDRESS", k.Addr())
	case "nats":
		n, err := embedded.StartNATS(dir, port, testLog())
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		fmt.Println("ADDRESS", n.URL())
	}
	io.Copy(io.Discard, os.Stdin)
}

// broker is an embedded broker in a process of its own, always on the same port and folder.
type broker struct {
	kind, dir string
	addr      string // as clients want it
	port      int
	cmd       *exec.Cmd
	in        io.WriteCloser
}

func newBroker(t testing.TB, kind string) *broker {
	t.Helper()
	b := &broker{kind: kind, dir: filepath.Join(t.TempDir(), kind)}
	b.start(t)
	t.Cleanup(func() {
		if b.cmd != nil {
			b.kill(t)
		}
	})
	return b
}

func (b *broker) start(t testing.TB) {
	t.Helper()
	b.cmd = exec.Command(os.Args[0], "-test.run=^TestBrokerProcess$", "-test.v")
	b.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s", brokerChild, b.kind, b.port, b.dir))
	b.cmd.Stderr = os.Stderr
	var err error
	if b.in, err = b.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, addr, ok := strings.Cut(lines.Text(), "ADDRESS "); ok {
			b.addr = addr
			_, port, _ := net.SplitHostPort(strings.TrimPrefix(addr, "nats://"))
			if b.port, err = strconv.Atoi(port); err != nil {
				t.Fatal(err)
			}
			go io.Copy(io.Discard, out)
			return
		}
	}
	t.Fatalf("the %s broker did not start", b.kind)
}

// kill ends the broker with SIGKILL.
func (b *broker) kill(t testing.TB) {
	if err := b.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	b.cmd.Wait()
	b.cmd = nil
}

// stop ends the broker cleanly.
func (b *broker) stop(t testing.TB) {
	b.in.Close()
	if err := b.cmd.Wait(); err != nil {
		t.Error(err)
	}
	b.cmd = nil
}

// tunnel stands between the node and NATS.
type tunnel struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	conns map[net.Conn]bool // the clients'
	mute  bool              // the server's answers are thrown away
}

func newTunnel(t testing.TB, url string) *tunnel {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tunnel{listener: l, target: strings.TrimPrefix(url, "nats://"), conns: map[net.Conn]bool{}}
	go p.accept()
	t.Cleanup(func() {
		l.Close()
		p.cut()
	})
	return p
}

func (p *tunnel) url() string { return "nats://" + p.listener.Addr().String() }

func (p *tunnel) accept() {
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
		p.mu.Lock()
		p.conns[client] = true
		p.mu.Unlock()
		go func() {
			defer server.Close()
			io.Copy(server, client)
		}()
		go p.answer(client, server)
	}
}

func (p *tunnel) answer(client, server net.Conn) {
	defer client.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		mute := p.mute
		p.mu.Unlock()
		if !mute {
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}

func (p *tunnel) setMute(on bool) {
	p.mu.Lock()
	p.mute = on
	p.mu.Unlock()
}

// cut ends every connection.
func (p *tunnel) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
		delete(p.conns, c)
	}
}

// running is a node of this process that runs.
type running struct {
	opened chan struct{} // closed when node is there
	node   *started
	drain  context.CancelFunc
	kill   context.CancelFunc
	done   chan error
}

// launch opens a node, waiting for brokers if need be, and runs it.
func launch(t testing.TB, spec nodeSpec, step func(string)) *running {
	t.Helper()
	r := &running{opened: make(chan struct{}), done: make(chan error, 1)}
	ctx, drain := context.WithCancel(t.Context())
	kill, killNow := context.WithCancel(context.WithoutCancel(t.Context()))
	r.drain, r.kill = drain, killNow
	ended := make(chan struct{})
	t.Cleanup(func() {
		drain()
		killNow()
		<-ended
	})
	go func() {
		defer close(ended)
		n, err := openNode(kill, spec, step, testLog())
		if err != nil {
			r.done <- err
			return
		}
		r.node = n
		close(r.opened)
		err = n.Run(ctx, kill)
		n.Close() // the folder is free when the end is told
		r.done <- err
	}()
	return r
}

// wait returns how the node ended.
func (r *running) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(patience):
		t.Fatalf("the node did not end; it waits for %q", r.waiting())
		return nil
	}
}

// finish fails the test unless the node ends well.
func (r *running) finish(t testing.TB) {
	t.Helper()
	if err := r.wait(t); err != nil {
		t.Fatal(err)
	}
}

func (r *running) waiting() string {
	select {
	case <-r.opened:
		return r.node.Waiting()
	default:
		return "being opened"
	}
}

// await waits until something holds, while the node runs.
func (r *running) await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	await(t, what, func() bool {
		select {
		case err := <-r.done:
			t.Fatalf("the node ended while the test waited for %s: %v", what, err)
		default:
		}
		return holds()
	})
}

// awaitWaiting waits until the node says that it waits for a thing.
func (r *running) awaitWaiting(t testing.TB, what string) {
	t.Helper()
	r.await(t, "the node to wait for "+what, func() bool { return strings.Contains(r.waiting(), what) })
}

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// await polls until something holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// at calls f when a step of the protocol comes for the n-th time.
func at(name string, n int, f func()) func(string) {
	var mu sync.Mutex
	return func(step string) {
		if step != name {
			return
		}
		mu.Lock()
		n--
		now := n == 0
		mu.Unlock()
		if now {
			f()
		}
	}
}

type config = node.Config

func tune(f func(*config)) func(*config) { return f }

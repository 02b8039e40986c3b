package embedded

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
)

// NATS is a nats-server with JetStream in this process, listening on a real port.
type NATS struct {
	srv *server.Server
}

// StartNATS starts a nats-server on 127.0.0.1 whose streams live in dir; one that was started there before continues
// with its data. Port 0 is any free one. log may be nil; it gets the server's warnings and errors.
func StartNATS(dir string, port int, log *zap.Logger) (*NATS, error) {
	if log == nil {
		log = zap.NewNop()
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	srv, err := server.NewServer(&server.Options{
		ServerName: "nudge-embedded",
		Host:       "127.0.0.1",
		Port:       port,
		JetStream:  true,
		StoreDir:   dir,
		NoSigs:     true, // the process has its own
		MaxPending: 256 << 20,
	})
	if err != nil {
		return nil, fmt.Errorf("streams/embedded: start NATS in %s: %w", dir, err)
	}
	fatal := make(chan string, 1)
	srv.SetLogger(natsLog{log, fatal}, false, false)
	srv.Start()
	if err := awaitNATS(srv, fatal); err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, fmt.Errorf("streams/embedded: start NATS in %s on port %d: %w", dir, port, err)
	}
	return &NATS{srv}, nil
}

// awaitNATS returns when the server takes connections, or can't.
func awaitNATS(srv *server.Server, fatal <-chan string) error {
	const patience = 20 * time.Second
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if srv.ReadyForConnections(50 * time.Millisecond) {
			if !srv.JetStreamEnabled() {
				return errors.New("JetStream did not start: is the folder writable?")
			}
			return nil
		}
		select {
		case text := <-fatal:
			return errors.New(text)
		default:
		}
	}
	return fmt.Errorf("not ready within %v", patience)
}

// URL is where clients connect, e.g. nats://127.0.0.1:4222.
func (n *NATS) URL() string { return n.srv.ClientURL() }

// Close stops the server and returns when its streams are on disk.
func (n *NATS) Close() {
	n.srv.Shutdown()
	n.srv.WaitForShutdown()
}

// natsLog passes on what deserves attention.
type natsLog struct {
	log   *zap.Logger
	fatal chan<- string
}

func (l natsLog) Noticef(string, ...any) {}
func (l natsLog) Debugf(string, ...any)  {}
func (l natsLog) Tracef(string, ...any)  {}

func (l natsLog) Warnf(format string, v ...any) {
	l.log.Warn("nats-server", zap.String("says", strings.TrimSpace(fmt.Sprintf(format, v...))))
}

func (l natsLog) Errorf(format string, v ...any) {
	l.log.Error("nats-server", zap.String("says", strings.TrimSpace(fmt.Sprintf(format, v...))))
}

// Fatalf is called by the server where a program of its own would end; StartNATS reports it instead.
func (l natsLog) Fatalf(format string, v ...any) {
	text := strings.TrimSpace(fmt.Sprintf(format, v...))
	l.log.Error("nats-server", zap.String("says", text))
	select {
	case l.fatal <- text:
	default:
	}
}

package nats

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"
)

// ErrNobody says that no running node answers requests of the app.
var ErrNobody = errors.New("no running node answers")

// errorCode is the code of an answer that is an error.
const errorCode = "500"

// Handler answers a request. It is called from several goroutines: one per endpoint, or as many as HandleMany was told.
type Handler func(subject string, data []byte) ([]byte, error)

// Service answers requests of one app: a NATS micro service, so that `nats micro` lists it.
type Service struct {
	conn  *Conn
	app   string
	svc   micro.Service
	group micro.Group

	mu       sync.Mutex
	stopping bool
	many     sync.WaitGroup // requests that HandleMany answers
}

// Serve starts the service of the app in the group nudge.<app>.api. It has no endpoints yet. version is nudge's own, in
// the form 1.2.3.
func (c *Conn) Serve(app, version string) (*Service, error) {
	svc, err := micro.AddService(c.nc, micro.Config{
		Name:        "nudge-" + app,
		Version:     version,
		Description: "answers for the app " + app,
	})
	if err != nil {
		return nil, fmt.Errorf("streams/nats: serve %s: %w", app, err)
	}
	return &Service{conn: c, app: app, svc: svc, group: svc.AddGroup(APIGroup(app))}, nil
}

// APIGroup is the subject that the endpoints of an app stand under.
func APIGroup(app string) string { return "nudge." + app + ".api" }

// Handle answers requests on nudge.<app>.api.<name>, one after the other.
func (s *Service) Handle(name string, handler Handler) error {
	return s.handle(name, func(r micro.Request) { s.answer(r, handler) })
}

// HandleMany is Handle for a handler that waits for something: up to atOnce requests are answered at once. An answer that
// comes after micro's handler returned is published past micro, which reads its request once more then; its statistics
// therefore count these requests, but neither their time nor their errors.
func (s *Service) HandleMany(name string, atOnce int, handler Handler) error {
	free := make(chan struct{}, atOnce)
	return s.handle(name, func(r micro.Request) {
		free <- struct{}{}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.stopping {
			s.answer(r, func(string, []byte) ([]byte, error) { return nil, ErrNobody })
			<-free
			return
		}
		subject, reply, data := r.Subject(), r.Reply(), r.Data()
		s.many.Go(func() {
			s.publish(subject, reply, data, handler)
			<-free
		})
	})
}

func (s *Service) handle(name string, f func(r micro.Request)) error {
	err := s.group.AddEndpoint(strings.ReplaceAll(name, ".", "-"), micro.HandlerFunc(f), micro.WithEndpointSubject(name))
	if err != nil {
		return fmt.Errorf("streams/nats: serve %s.%s: %w", APIGroup(s.app), name, err)
	}
	return nil
}

func (s *Service) answer(r micro.Request, handler Handler) {
	answer, err := handler(r.Subject(), r.Data())
	if err != nil {
		err = r.Error(errorCode, err.Error(), nil)
	} else {
		err = r.Respond(answer)
	}
	s.sent(r.Subject(), err)
}

// publish is answer without micro's request.
func (s *Service) publish(subject, reply string, data []byte, handler Handler) {
	answer, err := handler(subject, data)
	msg := &client.Msg{Subject: reply, Data: answer}
	if err != nil {
		msg.Data = nil
		msg.Header = client.Header{micro.ErrorHeader: {err.Error()}, micro.ErrorCodeHeader: {errorCode}}
	}
	s.sent(subject, s.conn.nc.PublishMsg(msg))
}

func (s *Service) sent(subject string, err error) {
	if err != nil {
		s.conn.log.Warn("an answer was not sent", zap.String("subject", subject), zap.Error(err))
	}
}

// Stop ends the service: no request that is made after it gets here, and those that are being answered are finished.
func (s *Service) Stop() error {
	err := s.svc.Stop()
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	s.many.Wait()
	if err == nil && s.conn.Connected() {
		err = s.conn.nc.FlushTimeout(requestTimeout)
	}
	if err != nil {
		return fmt.Errorf("streams/nats: stop serving %s: %w", s.app, err)
	}
	return nil
}

// Request asks a running node, e.g. on nudge.shop.api.status; without a deadline it waits 5 s. An error of its handler is returned as one.
func (c *Conn) Request(ctx context.Context, subject string, data []byte) ([]byte, error) {
	if err := clean(subject); err != nil {
		return nil, fmt.Errorf("streams/nats: request: %w", err)
	}
	timeout := requestTimeout
	if at, ok := ctx.Deadline(); ok {
		timeout = time.Until(at)
	}
	ctx, cancel := c.within(ctx, timeout)
	defer cancel()
	msg, err := c.nc.RequestWithContext(ctx, subject, data)
	switch {
	case errors.Is(err, client.ErrNoResponders):
		return nil, fmt.Errorf("streams/nats: request %s: %w", subject, ErrNobody)
	case err != nil:
		return nil, fmt.Errorf("streams/nats: request %s: %w", subject, offline(ctx, err))
	}
	if text := msg.Header.Get(micro.ErrorHeader); text != "" {
		return nil, fmt.Errorf("streams/nats: request %s: answered with the error: %s", subject, text)
	}
	return msg.Data, nil
}

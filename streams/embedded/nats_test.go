package embedded

import (
	"net/url"
	"strconv"
	"strings"
	"testing"

	client "github.com/nats-io/nats.go"
)

// TestNATSKeepsItsData stores a message, restarts the server on the same folder and port, and finds it.
func TestNATSKeepsItsData(t *testing.T) {
	dir := t.TempDir()
	srv, err := StartNATS(dir, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	where, err := url.Parse(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(where.Port())
	if err != nil {
		t.Fatal(err)
	}
	with := func(f func(client.JetStreamContext)) {
		t.Helper()
		nc, err := client.Connect(srv.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		js, err := nc.JetStream()
		if err != nil {
			t.Fatal(err)
		}
		f(js)
	}
	with(func(js client.JetStreamContext) {
		if _, err := js.AddStream(&client.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish("s", []byte("kept")); err != nil {
			t.Fatal(err)
		}
	})
	srv.Close()

	if srv, err = StartNATS(dir, port, nil); err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	with(func(js client.JetStreamContext) {
		m, err := js.GetMsg("S", 1)
		if err != nil || string(m.Data) != "kept" {
			t.Errorf("after the restart: %+v, %v; want the message", m, err)
		}
	})

	if _, err := StartNATS(t.TempDir(), port, nil); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a second server on port %d: %v, want that the address is in use", port, err)
	}
}

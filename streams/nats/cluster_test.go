package nats

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// cluster starts three servers with JetStream.
func cluster(t *testing.T) (servers []*server.Server, urls string) {
	t.Helper()
	var routes []*url.URL
	var ports []int
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
		routes = append(routes, &url.URL{Scheme: "nats", Host: l.Addr().String()})
		l.Close()
	}
	var all []string
	for i, port := range ports {
		srv, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT,
			JetStream: true, StoreDir: t.TempDir(), NoSigs: true,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: port}, Routes: routes,
		})
		if err != nil {
			t.Fatal(err)
		}
		srv.Start()
		t.Cleanup(func() {
			srv.Shutdown()
			srv.WaitForShutdown()
		})
		servers = append(servers, srv)
	}
	for _, srv := range servers {
		if !srv.ReadyForConnections(10 * time.Second) {
			t.Fatal("the cluster does not start")
		}
		all = append(all, srv.ClientURL())
	}
	return servers, strings.Join(all, ",")
}

// TestCluster publishes to three replicas while the leader steps down and a server goes.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("a cluster of three takes some seconds; run without -short")
	}
	servers, urls := cluster(t)
	c := connect(t, Config{URL: urls, AckTimeout: 2 * time.Second})
	ctx := deadline(t)
	cfg := StreamConfig{App: "cluster", Replicas: 3, Dedup: 100 * time.Millisecond}
	var s *Stream
	for { // until the cluster has met and elected
		var err error
		if s, err = c.OpenStream(ctx, cfg); err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	p := publisher(t, s, 1000)
	msgs := decisions(s, 0, 8000)
	batch := 0
	unsure := disturbed(t, s, p, msgs, 250, func() {
		switch batch++; batch {
		case 5, 15:
			var answer struct{}
			if err := s.api(ctx, "STREAM.LEADER.STEPDOWN."+s.cfg.Name, nil, &answer); err != nil {
				t.Log("the leader does not step down: ", err)
			}
		case 22:
			gone := 0
			for i, srv := range servers {
				if srv.ClientURL() == c.nc.ConnectedUrl() {
					gone = i
				}
			}
			servers[gone].Shutdown()
		}
	})
	exactly(t, s, msgs)
	t.Logf("unsure %d times", unsure)
}

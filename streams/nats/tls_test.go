package nats

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// certificate makes one for 127.0.0.1 that signs itself.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "nudge test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestTLSAndToken(t *testing.T) {
	cert, pool := certificate(t)
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, JetStream: true, StoreDir: t.TempDir(),
		Authorization: "s3cret", TLS: true, TLSTimeout: 5, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	defer srv.WaitForShutdown()
	defer srv.Shutdown()
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	trusting := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	url := "tls://" + srv.Addr().String()

	s := open(t, connect(t, Config{URL: url, Token: "s3cret", TLS: trusting}))
	msgs := decisions(s, 0, 100)
	deliver(t, s, publisher(t, s, 0), msgs, 100)
	exactly(t, s, msgs)

	for _, bad := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"wrong token", Config{URL: url, Token: "guess", TLS: trusting}, "authorization"},
		{"unknown authority", Config{URL: url, Token: "s3cret"}, "certificate"},
		{"no such credentials", Config{URL: url, Credentials: "/nowhere/shop.creds", TLS: trusting}, "/nowhere/shop.creds"},
	} {
		if _, err := Connect(deadline(t), bad.cfg, nil); err == nil || !strings.Contains(strings.ToLower(err.Error()), bad.want) {
			t.Errorf("%s: %v, want %q", bad.name, err, bad.want)
		}
	}
}

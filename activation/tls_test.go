//go:build linux

package activation

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// The function secure starts a Server with TLS, and returns a client that trusts its
// certificate.
func secure(t *testing.T, handler http.HandlerFunc, protocols ...string) (addr string, client *http.Client,
	stop func(), draining <-chan struct{}, result <-chan error) {
	t.Helper()
	lender := httptest.NewTLSServer(nil) // provides a certificate and a client that trusts it
	t.Cleanup(lender.Close)
	client = lender.Client()
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	client.Transport.(*http.Transport).TLSClientConfig.NextProtos = protocols

	begun, done := make(chan struct{}), make(chan error, 1)
	s := &Server{
		HTTP:    &http.Server{Handler: handler, TLSConfig: &tls.Config{Certificates: lender.TLS.Certificates}},
		OnDrain: func(context.Context) { close(begun) },
	}
	l, plain := listenTCP(t), listenTCP(t)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- s.Serve(ctx, plain, TLS(l)) }()
	t.Cleanup(func() { cancel(); s.HTTP.Close() })
	return l.Addr().String(), client, cancel, begun, done
}

// TestHTTP2 checks that the stream in progress gets its response, and that the connection
// gets GOAWAY and ends.
func TestHTTP2(t *testing.T) {
	started, finish := make(chan struct{}, 1), make(chan struct{})
	addr, client, stop, draining, result := secure(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			started <- struct{}{}
			<-finish
		}
		io.WriteString(w, r.Proto)
	}, "h2")
	get := func(path string) string {
		resp, err := client.Get("https://" + addr + path)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err.Error()
		}
		return string(body)
	}
	if got := get("/"); got != "HTTP/2.0" {
		t.Fatalf("the response is %s, want HTTP/2.0", got)
	}
	held := make(chan string, 1)
	go func() { held <- get("/hold") }()
	within(t, "request", started)
	stop()
	within(t, "begin of the drain", draining)
	close(finish)
	if got := within(t, "stream in progress", held); got != "HTTP/2.0" {
		t.Errorf("the response of the stream in progress is %s, want HTTP/2.0", got)
	}
	if err := within(t, "end", result); err != nil {
		t.Error(err)
	}
}

// TestTLSHandshakeInProgress stops the server while an accepted connection is in the TLS
// handshake.
func TestTLSHandshakeInProgress(t *testing.T) {
	addr, client, stop, draining, result := secure(t, hello)
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	// Connections are accepted in order, so a response on a later connection means that
	// raw was accepted, too.
	if resp, err := client.Get("https://" + addr); err != nil {
		t.Fatal(err)
	} else {
		resp.Body.Close()
	}
	client.CloseIdleConnections()
	stop()
	within(t, "begin of the drain", draining)
	config := client.Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "example.com" // the name in the certificate
	config.NextProtos = nil           // the transport has added HTTP/2
	conn := tls.Client(raw, config)
	if _, err := io.WriteString(conn, get); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || len(answer) == 0 {
		t.Errorf("read %q, %v", answer, err)
	}
	if err := within(t, "end", result); err != nil {
		t.Error(err)
	}
}

package redistest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy passes connections on to a server, and can be told not to: the network
// between two machines, on one.
type Proxy struct {
	backend  string
	listener net.Listener

	mu      sync.Mutex
	state   state                 // guarded by mu
	changed chan struct{}         // guarded by mu; closed when state changes
	conns   map[net.Conn]struct{} // guarded by mu
	wg      sync.WaitGroup
}

type state int

const (
	healthy state = iota
	cut           // connections break, and new ones are closed at once
	silent        // connections stay, and nothing comes through
)

// NewProxy returns a healthy proxy before backend, HOST:PORT, that is closed
// with the test.
func NewProxy(tb testing.TB, backend string) *Proxy {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("listen: %v", err)
	}
	p := &Proxy{backend: backend, listener: l, changed: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	p.wg.Go(p.accept)
	tb.Cleanup(func() {
		_ = l.Close() // ends accept
		p.become(cut)
		p.wg.Wait()
	})
	return p
}

// Addr returns the proxy's address, HOST:PORT.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// URL returns the URL of an open server behind the proxy, for redisconn.
func (p *Proxy) URL() string { return "redis://" + p.Addr() }

// Cut breaks the connections there are, and new ones as soon as they are made.
func (p *Proxy) Cut() { p.become(cut) }

// Silence keeps connections and holds back all that is sent over them, as a
// network does that loses every packet. What was held back comes when it heals.
func (p *Proxy) Silence() { p.become(silent) }

// Heal lets everything through again.
func (p *Proxy) Heal() { p.become(healthy) }

func (p *Proxy) become(s state) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = s
	close(p.changed)
	p.changed = make(chan struct{})
	if s == cut {
		for c := range p.conns {
			_ = c.Close() // that is what a cut is
		}
	}
}

// pass waits while the network is silent, and reports whether it is whole.
func (p *Proxy) pass() bool {
	for {
		p.mu.Lock()
		s, changed := p.state, p.changed
		p.mu.Unlock()
		if s != silent {
			return s == healthy
		}
		<-changed
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

// keep takes note of a connection for a cut to come; false means that there is one.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == cut {
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close() // it may be closed
}

func (p *Proxy) serve(client net.Conn) {
	defer p.drop(client)
	if !p.keep(client) || !p.pass() {
		return
	}
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.backend)
	if err != nil {
		return
	}
	defer p.drop(server)
	if !p.keep(server) {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { p.copy(server, client) })
	wg.Go(func() { p.copy(client, server) })
	wg.Wait()
}

func (p *Proxy) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close() // so that the other direction ends too
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && (!p.pass() || !write(to, buf[:n])) || err != nil {
			return
		}
	}
}

func write(to io.Writer, b []byte) bool {
	_, err := to.Write(b)
	return err == nil
}

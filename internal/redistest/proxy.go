package redistest

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Proxy passes what comes over its connections on to a server and back, and can be told to do worse: it is the network between two
// machines, on one.
type Proxy struct {
	tb      testing.TB
	port    int
	backend string
	ctx     context.Context // of the proxy's own life; ends dialling
	wg      sync.WaitGroup  // of all that the proxy has going

	mu       sync.Mutex
	mood     mood               // guarded by mu
	changed  chan struct{}      // guarded by mu; closed when mood changes
	listener net.Listener       // guarded by mu; nil while the network is cut
	links    map[*link]struct{} // guarded by mu
}

type mood int

const (
	cut     mood = iota // there are no connections
	whole               // everything comes through
	silent              // connections stay, and nothing comes through
	oneWay              // what goes to the server comes through, and what comes from it is lost
	refused             // the test is over
)

// link is a connection through the proxy: one on either side.
type link struct {
	client, server net.Conn
	torn           bool // guarded by the proxy's mu; something of it was lost
}

// NewProxy returns a proxy before backend, which is host:port, that lets everything through. It ends with the test.
func NewProxy(tb testing.TB, backend string) *Proxy {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{tb: tb, port: reserve(tb), backend: backend, ctx: ctx, changed: make(chan struct{}), links: make(map[*link]struct{})}
	tb.Cleanup(func() {
		cancel()
		p.become(refused)
		p.wg.Wait()
	})
	p.become(whole)
	return p
}

// Addr returns the proxy's address as host:port. It stays the same.
func (p *Proxy) Addr() string { return address(p.port) }

// URL returns what redisconn.Parse takes to reach a server without a password or TLS through the proxy. For any other there is
// [Server.URLThrough].
func (p *Proxy) URL() string { return "redis://" + p.Addr() }

// Cut resets all connections and refuses new ones.
func (p *Proxy) Cut() { p.become(cut) }

// Silence keeps all connections, accepts new ones, and lets nothing through: a network that loses every packet. As the sender of a lost
// packet sends it again, what was held back arrives after Heal, be it too late.
func (p *Proxy) Silence() { p.become(silent) }

// LoseAnswers lets the server hear everything and throws its answers away. Their connections are reset with the next change.
func (p *Proxy) LoseAnswers() { p.become(oneWay) }

// Heal lets everything through again.
func (p *Proxy) Heal() { p.become(whole) }

// Conns returns how many connections go through the proxy.
func (p *Proxy) Conns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

func (p *Proxy) become(m mood) {
	p.tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mood = m
	close(p.changed)
	p.changed = make(chan struct{})
	for l := range p.links {
		if l.torn || m == cut || m == refused {
			l.reset()
		}
	}
	if open := m != cut && m != refused; open == (p.listener != nil) {
		return
	} else if !open {
		_ = p.listener.Close() // it has nothing to lose
		p.listener = nil
		return
	}
	listener, err := new(net.ListenConfig).Listen(p.ctx, "tcp", p.Addr())
	for begun := time.Now(); errors.Is(err, syscall.EADDRINUSE) && time.Since(begun) < patience; {
		// A process that was being started when the last listener was closed has it until it runs.
		<-time.After(time.Millisecond)
		listener, err = new(net.ListenConfig).Listen(p.ctx, "tcp", p.Addr())
	}
	if err != nil {
		p.tb.Errorf("redistest: the proxy cannot listen: %v", err)
		return
	}
	p.listener = listener
	p.wg.Go(func() { p.accept(listener) })
}

func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return // closed
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

// serve passes on what comes over one connection, both ways, until either side ends it.
func (p *Proxy) serve(client net.Conn) {
	l := &link{client: client}
	if !p.add(l) {
		l.reset()
		return
	}
	defer p.remove(l)
	if !p.open() {
		return
	}
	server, err := new(net.Dialer).DialContext(p.ctx, "tcp", p.backend)
	if err != nil {
		return // the server is down, which the client sees by the end of its connection
	}
	if !p.join(l, server) {
		_ = server.Close() // nothing was said
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { p.pass(l, server, client, false) })
	wg.Go(func() { p.pass(l, client, server, true) })
	wg.Wait()
}

// add makes the link known to a cut to come, and reports whether there is none yet.
func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mood == cut || p.mood == refused {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

// join gives the link its other side, unless it was cut off meanwhile.
func (p *Proxy) join(l *link, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mood == cut || p.mood == refused {
		return false
	}
	l.server = server
	return true
}

func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
	l.close()
}

func (l *link) close() {
	_ = l.client.Close() // it may be closed
	if l.server != nil {
		_ = l.server.Close()
	}
}

// reset closes both sides without what they may still have to send.
func (l *link) reset() {
	for _, c := range []net.Conn{l.client, l.server} {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // fails where it is closed
		}
	}
	l.close()
}

// open waits while the network is silent, and reports whether there is one then.
func (p *Proxy) open() bool {
	for {
		p.mu.Lock()
		m, changed := p.mood, p.changed
		p.mu.Unlock()
		if m != silent {
			return m == whole || m == oneWay
		}
		<-changed
	}
}

// swallows reports whether an answer is lost now, and takes note of it.
func (p *Proxy) swallows(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mood == oneWay {
		l.torn = true
	}
	return l.torn
}

// pass passes on what comes from one side until it ends, and then ends the other.
func (p *Proxy) pass(l *link, to, from net.Conn, answers bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !p.open() {
			break
		}
		if lost := answers && p.swallows(l); n > 0 && !lost {
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = to.Close() // either may be closed
	_ = from.Close()
}

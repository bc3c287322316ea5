// Package sdktest is for tests whose viewers use Centrifugo's SDK for Go, so
// that the race detector finds what races in Laurel and not what does in the SDK.
package sdktest

import (
	"context"
	"net"
	"sync"
	"time"
)

// Never is when a viewer may try by itself to subscribe again on a connection
// that stands, to be set as its shortest and longest delay. The SDK does so by a
// timer, which may fire while a connection is being made, and reads then what the
// latter writes, without the lock (centrifuge-go v0.10.11: Client.send and
// Client.startReconnecting). So a viewer whose subscription has failed cuts its
// [Wire] instead: everything else that the SDK sends belongs to the goroutine
// which reads the connection, and that one has ended before another connection
// is made.
const Never = 1000 * time.Hour

// Wire is the newest connection of a viewer. The zero Wire is ready to use.
type Wire struct {
	mu   sync.Mutex
	conn net.Conn // guarded by mu
}

// Dial connects; it is what the SDK is given to connect by.
func (w *Wire) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn = conn
	return conn, nil
}

// Cut ends the connection under the SDK, which makes another.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil {
		_ = w.conn.Close() // it may be closed
	}
}

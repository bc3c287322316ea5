package redistest

import (
	"context"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
)

// The ports below are those that a kernel gives to nobody who connects, so that a server finds its own again after a restart.
const (
	firstPort = 10000
	lastPort  = 32767
)

// reserve returns a port of loopback that is free and that no other test, of any process, is given before this one ends: the UDP port of
// the same number, which nobody else wants, is held to tell it.
func reserve(tb testing.TB) int {
	tb.Helper()
	var config net.ListenConfig
	var last error
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		held, err := config.ListenPacket(context.Background(), "udp", address(port))
		if err != nil {
			last = err
			continue
		}
		if err := try(address(port)); err != nil {
			last = err
			_ = held.Close() // nothing was sent by it
			continue
		}
		tb.Cleanup(func() { _ = held.Close() })
		return port
	}
	tb.Fatalf("redistest: found no free port: %v", last)
	return 0
}

// try sees whether an address can be listened on. No process is started meanwhile: for a moment it would have the listener too, and the
// address be taken.
func try(address string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	return l.Close()
}

package storetest_test

import (
	"sync"
	"testing"

	"laurel/internal/leaderboard/storetest"
)

// disk is where models are kept between Close and Open.
type disk struct {
	mu     sync.Mutex
	models map[string]*storetest.Model // by directory
}

func (d *disk) open(_ testing.TB, dir string) storetest.Store {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.models == nil {
		d.models = map[string]*storetest.Model{}
	}
	if m, ok := d.models[dir]; ok {
		d.models[dir] = m.Reopen()
	} else {
		d.models[dir] = storetest.NewModel()
	}
	return d.models[dir]
}

func TestModelKeepsTheContract(t *testing.T) {
	storetest.Run(t, (&disk{}).open)
}

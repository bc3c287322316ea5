package redisstore

import "time"

// MaxPartitions is the most partitions that there can be.
const MaxPartitions = maxPartitions

// Abandon ends the store as the death of its process would: it gives nothing back.
func (s *Store) Abandon() {
	s.stop.Do(func() {
		s.mu.Lock()
		s.ending = true
		s.mu.Unlock()
		s.closed.Store(true)
		for _, p := range s.parts {
			p.queue.close()
		}
		s.lanes.Wait()
		s.batches.Wait()
		s.quit()
		s.client.Close()
	})
}

// Owned returns the partitions whose changes the node tells.
func (s *Store) Owned() []int {
	var owned []int
	for _, p := range s.parts {
		p.changes.mu.Lock()
		if time.Now().Before(p.changes.until) {
			owned = append(owned, p.n)
		}
		p.changes.mu.Unlock()
	}
	return owned
}

package client

import "sync"

// cache is answers that are kept, by their paths.
type cache struct {
	most int // 0: none is kept

	mu      sync.Mutex
	answers map[string]kept // guarded by mu
}

// kept is an answer and the tag by which the server knows it again.
type kept struct {
	tag  string
	body []byte // never changed
}

func (c *cache) get(path string) kept {
	if c.most <= 0 {
		return kept{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answers[path]
}

// put keeps an answer. When there are too many, any other one makes room.
func (c *cache) put(path string, k kept) {
	if c.most <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answers == nil {
		c.answers = make(map[string]kept)
	}
	delete(c.answers, path)
	for other := range c.answers {
		if len(c.answers) < c.most {
			break
		}
		delete(c.answers, other)
	}
	c.answers[path] = k
}

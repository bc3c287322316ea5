package redisstore

import (
	"context"

	"github.com/redis/rueidis"
)

// Keeper keeps one text beside the boards, for whoever opens the store.
type Keeper struct {
	store *Store
	key   string
}

// Keeper returns the one that all nodes of the store share.
func (s *Store) Keeper() *Keeper { return &Keeper{s, s.parts[0].prefix + "kept"} }

// String says where the text is kept, for people.
func (k *Keeper) String() string {
	return "key " + k.key + " of Redis at " + k.store.opts.Redis.String()
}

// Keep returns the text that is kept. If there is none, it keeps first, as
// durably as Redis can, and returns it. Of nodes that do so at once, all get the
// same text.
func (k *Keeper) Keep(ctx context.Context, first []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, k.store.opts.Timeout)
	defer cancel()
	client := k.store.client
	err := client.Do(ctx, client.B().Set().Key(k.key).Value(rueidis.BinaryString(first)).Nx().Build()).Error()
	if err := ignoreNil(err); err != nil {
		return nil, k.store.fault(ctx, err)
	}
	return k.Kept(ctx)
}

// Kept returns the text that is kept, or nil if there is none.
func (k *Keeper) Kept(ctx context.Context) ([]byte, error) {
	client := k.store.client
	kept, err := client.Do(ctx, client.B().Get().Key(k.key).Build()).AsBytes()
	return kept, k.store.fault(ctx, ignoreNil(err))
}

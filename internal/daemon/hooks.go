package daemon

import (
	"context"

	"laurel/internal/feed"
	"laurel/internal/hooks"
	"laurel/internal/leaderboard"
)

// openHooks makes what notices events and delivers them, if there is a hook.
func (d *Daemon) openHooks(feed *feed.Options) (err error) {
	if len(d.opts.Hooks) == 0 {
		return nil
	}
	options := d.opts.hookOptions
	options.Trust = feed.Trust
	options.Version = d.opts.Version
	options.Log, options.Metrics = d.log.With("part", "hooks"), d.registry
	if d.hooks, err = hooks.New(d.store, d.opts.Hooks, options); err != nil {
		return err
	}
	feed.Witness = d.hooks
	return nil
}

// SeasonEnded tells the hooks that a season of a board has ended.
func (d *Daemon) SeasonEnded(ctx context.Context, board leaderboard.Board, season int, end hooks.SeasonEnd) error {
	if d.hooks == nil {
		return nil
	}
	return d.hooks.SeasonEnded(ctx, board, season, end)
}

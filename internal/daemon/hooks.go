package daemon

import (
	"laurel/internal/feed"
	"laurel/internal/hooks"
)

// openHooks makes what notices events and delivers them, if there is a hook.
func (d *Daemon) openHooks(feed *feed.Options) (err error) {
	if len(d.opts.Hooks) == 0 {
		return nil
	}
	options := d.opts.hookOptions
	options.Shared = !d.opts.Redis.IsZero()
	options.Version = d.opts.Version
	options.Log, options.Metrics = d.log.With("part", "hooks"), d.registry
	if d.hooks, err = hooks.New(d.store, d.opts.Hooks, options); err != nil {
		return err
	}
	feed.Witness = d.hooks
	return nil
}

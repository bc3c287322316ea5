package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"laurel/internal/auth"
	"laurel/internal/leaderboard"
	"laurel/internal/localstore"
	"laurel/internal/redisconn"
	"laurel/internal/redisstore"
	"laurel/internal/telemetry"
	"laurel/internal/transfer"
)

func copyCommand() command {
	return command{
		name:  "copy",
		args:  "FROM TO",
		short: "copies all boards into another store",
		long: `
Copies the boards, and the hashes of API keys, from a data directory or a Redis
into another that has no boards, for instance when one machine is not enough any
more. Scores, the order of ties, data and times stay as they are; what a viewer
has on the screen is replaced when it connects to a server on the new store.

Stop the servers that use FROM before. If the copy fails, what it has made in TO
is not whole: remove it before the next attempt.

  laurel copy /var/lib/laurel redis://10.0.0.5:6379
  laurel copy redis://10.0.0.5:6379 /var/lib/laurel`,
		setup: func(flags *flag.FlagSet) action {
			fromPrefix := flags.String("from-prefix", "laurel", "`text` that the names of all keys begin with if FROM is a Redis")
			toPrefix := flags.String("to-prefix", "laurel", "`text` that the names of all keys begin with if TO is a Redis")
			partitions := flags.Int("to-partitions", 0, "`number` of parts that the boards are spread over if TO is a Redis; 0 is the usual one")
			return func(ctx context.Context, t terminal, args []string) (err error) {
				if args[0] == args[1] && *fromPrefix == *toPrefix {
					return usage("FROM and TO are the same", "")
				}
				log, err := telemetry.NewLogger(t.Err, "text", "warn")
				if err != nil {
					return err
				}
				if _, err := os.Stat(args[0]); !isURL(args[0]) && err != nil {
					return withHint(err, "FROM is a data directory or the URL of a Redis")
				}
				from, err := openKept(ctx, args[0], *fromPrefix, 0, log)
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, from.Close()) }()
				to, err := openKept(ctx, args[1], *toPrefix, *partitions, log)
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, to.Close()) }()
				return copyAll(ctx, t, to, from)
			}
		},
	}
}

func copyAll(ctx context.Context, t terminal, to, from *kept) error {
	err := transfer.Copy(ctx, to, from, func(v leaderboard.View) {
		fmt.Fprintf(t.Out, "%s  %s\n", v.Board.ID, count(v.Total, "member"))
	})
	if errors.Is(err, transfer.ErrNotEmpty) {
		return withHint(fmt.Errorf("%s: %w", to.place, err), "choose another TO, another --to-prefix, or delete them")
	}
	if err != nil {
		return withHint(fmt.Errorf("the copy in %s is not whole: %w", to.place, err), "remove it before the next attempt")
	}
	keys, err := from.keys(ctx)
	if err != nil || keys == nil {
		return err
	}
	_, err = to.keeper.Keep(ctx, keys)
	return err
}

// kept is a store and what is kept beside it.
type kept struct {
	leaderboard.Store
	Close  func() error
	place  string
	keeper auth.Keeper
	keys   func(context.Context) ([]byte, error) // as the keeper has them; nil if there are none
}

func isURL(place string) bool { return strings.Contains(place, "://") }

// openKept opens the store in a directory or in Redis.
func openKept(ctx context.Context, place, prefix string, partitions int, log *slog.Logger) (*kept, error) {
	if !isURL(place) {
		store, err := localstore.Open(ctx, place, localstore.Options{Logger: log})
		if err != nil {
			return nil, (&server{data: place}).explain(err)
		}
		keys := func(context.Context) ([]byte, error) {
			text, err := os.ReadFile(filepath.Join(place, auth.FileName))
			if errors.Is(err, fs.ErrNotExist) {
				return nil, nil
			}
			return text, err
		}
		return &kept{store, store.Close, place, auth.InDir(place), keys}, nil
	}
	config, err := redisconn.Parse(place)
	if err != nil {
		return nil, usage(err.Error(), "")
	}
	store, err := redisstore.Open(ctx, redisstore.Options{Redis: config, Prefix: prefix, Partitions: partitions, Logger: log})
	if err != nil {
		return nil, withHint(err, "see that Redis runs there")
	}
	return &kept{store, store.Close, config.String(), store.Keeper(), store.Keeper().Kept}, nil
}

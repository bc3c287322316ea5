package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"laurel/internal/auth"
	"laurel/internal/centrifugo"
	"laurel/internal/daemon"
	"laurel/internal/hooks"
	"laurel/internal/leaderboard"
	"laurel/internal/localstore"
	"laurel/internal/realtime"
	"laurel/internal/redisconn"
	"laurel/internal/telemetry"
)

const (
	defaultListen = daemon.DefaultListen
	defaultData   = "laurel-data"
	keyFileName   = auth.FileName
)

func serveCommand() command {
	return command{
		name:  "serve",
		short: "runs the server",
		long: `
Serves the API, live connections and the page on one address, and keeps the boards
in a data directory, which one process at a time can use. The first start there
makes an API key and prints it, once; only its hash is kept. Instead, a key of
your own can be given, which is then the only valid one.

With --redis, the boards are in Redis instead, and any number of servers with the
same Redis serve the same boards; viewers and writers may use any of them.

"listening on http://…" is printed when requests are answered. The log goes to
the standard error output. SIGTERM and Ctrl-C stop the server cleanly, a second
one at once; no score that was answered is lost by either, nor by kill -9.

  laurel serve --data /var/lib/laurel --listen :8000
  LAUREL_API_KEY_FILE=/run/secrets/laurel laurel serve --config laurel.yaml
  laurel serve --redis redis://10.0.0.5:6379 --listen :8000

A configuration file has the names of the options:

  data: /var/lib/laurel
  listen: :8000
  origins: [https://game.example, https://www.game.example]

It may also have the sections client, channel and consumers, named as Centrifugo
names them, with which Redis streams are read that are meant for a Centrifugo, or
that have scores in them. With realtime: centrifugo, tables are brought to the
viewers of a Centrifugo too, as the section centrifugo says. docs/centrifugo.md
explains both.

With a list of hooks there, other programs are told by HTTP of new leaders, beaten
records and ended seasons:

  hooks:
    - name: discord
      url: https://game.example/laurel
      secret_file: /run/secrets/laurel-hook
      events: [new_leader, season_ended]
      boards: ["eu.*"]

docs/hooks.md says what they are sent and how to verify it.`,
		setup: func(flags *flag.FlagSet) action {
			o := serverOptions(flags, "info")
			o.sharedOptions(flags)
			return func(ctx context.Context, t terminal, _ []string) error {
				d, err := o.open(ctx, t)
				if err != nil {
					return unlessStopped(ctx, err)
				}
				if key := d.NewKey(); key != "" {
					announceKey(t.Out, key, o.place())
				}
				fmt.Fprintf(t.Out, "listening on %s\n", urlOf(d.Addr()))
				return d.Run(ctx)
			}
		},
	}
}

// server is the options of commands that are a server.
type server struct {
	data, listen    string
	redis           redisURL
	prefix          string
	partitions      int
	realtime        *choice // nil if this server is not to know of any Centrifugo
	key             apiKey
	origins         origins
	autoCreate      bool
	rankInterval    time.Duration
	drainDelay      time.Duration
	shutdownTimeout time.Duration
	debugListen     string
	logFormat       *choice
	logLevel        *choice
}

func serverOptions(flags *flag.FlagSet, logLevel string) *server {
	o := &server{}
	flags.StringVar(&o.data, "data", defaultData, "`directory` for the boards; made if it is not there")
	flags.StringVar(&o.listen, "listen", defaultListen, "`address` to listen on, as HOST:PORT; an empty host is every address of this machine, port 0 any free one")
	o.key.declare(flags, "the only one that is valid then")
	flags.Var(&o.origins, "origins", "`list` of other web pages that may read and watch, such as https://game.example; * is all")
	flags.BoolVar(&o.autoCreate, "auto-create", true, "create a board with the default settings when a score is submitted to one that does not exist")
	flags.DurationVar(&o.rankInterval, "rank-interval", time.Second, "`time` between two publications of a member's rank, at the least")
	flags.DurationVar(&o.drainDelay, "drain-delay", 0, "`time` to go on when told to stop, with /readyz saying no, so that a load balancer notices")
	flags.DurationVar(&o.shutdownTimeout, "shutdown-timeout", daemon.DefaultShutdownTimeout, "`time` that requests under way may take when told to stop")
	flags.StringVar(&o.debugListen, "debug-listen", "", "`address` for profiles under /debug/pprof/; who reaches it can read the memory of the process")
	o.logFormat = oneOf(flags, "log-format", "text", "how the log is written", "text", "json")
	o.logLevel = oneOf(flags, "log-level", logLevel, "what is logged, from this level up", "debug", "info", "warn", "error")
	return o
}

// sharedOptions are those of a server that may be one of many.
func (o *server) sharedOptions(flags *flag.FlagSet) {
	flags.Var(&o.redis, "redis", "`URL` of the Redis that has the boards, instead of a data directory: redis://HOST:PORT, rediss:// with TLS, redis+sentinel://HOST,HOST?sentinel_master_name=NAME, redis+cluster://HOST,HOST")
	flags.StringVar(&o.prefix, "redis-prefix", "laurel", "`text` that the names of all keys in Redis begin with")
	flags.IntVar(&o.partitions, "redis-partitions", 0, "`number` of parts that the boards are spread over, fixed at the first start; 0 is as many as there are, or 16")
	o.realtime = oneOf(flags, "realtime", "laurel", "who brings tables to viewers; centrifugo is Laurel, and a Centrifugo to its own viewers as well", "laurel", "centrifugo")
}

// redisURL is the value of an option that says how to reach Redis.
type redisURL struct{ config redisconn.Config }

func (u *redisURL) String() string { return u.config.String() }

func (u *redisURL) Set(s string) (err error) {
	u.config, err = redisconn.Parse(s)
	return err
}

// place says where the boards are.
func (o *server) place() string {
	if o.redis.config.IsZero() {
		return o.data
	}
	return o.redis.String()
}

// origins is the value of an option that lists web pages.
type origins struct{ list }

func (o *origins) Set(s string) error {
	if err := o.list.Set(s); err != nil {
		return err
	}
	return realtime.CheckOrigins(o.list)
}

// open opens a daemon with the options.
func (o *server) open(ctx context.Context, t terminal) (*daemon.Daemon, error) {
	if o.rankInterval <= 0 || o.shutdownTimeout <= 0 || o.drainDelay < 0 {
		return nil, usage("rank-interval and shutdown-timeout must be more than 0, drain-delay at least 0", "")
	}
	if !o.redis.config.IsZero() && o.data != defaultData {
		return nil, usage("the boards are either in a data directory or in Redis", "leave out --data or --redis")
	}
	key, err := o.key.read()
	if err != nil {
		return nil, err
	}
	if key != "" {
		if err := auth.Check(key); err != nil {
			return nil, usage(err.Error(), "")
		}
	}
	log, err := o.logger(t.Err)
	if err != nil {
		return nil, err
	}
	streams, publisher, err := o.centrifugo(t.Sections)
	if err != nil {
		return nil, err
	}
	told, err := o.hooks(t.Sections)
	if err != nil {
		return nil, err
	}
	d, err := daemon.Open(ctx, daemon.Options{
		Data:            o.data,
		Redis:           o.redis.config,
		Prefix:          o.prefix,
		Partitions:      o.partitions,
		Listen:          o.listen,
		APIKey:          key,
		Origins:         o.origins.list,
		Streams:         streams,
		Publisher:       publisher,
		Hooks:           told,
		NoAutoCreate:    !o.autoCreate,
		RankInterval:    o.rankInterval,
		DrainDelay:      o.drainDelay,
		ShutdownTimeout: o.shutdownTimeout,
		DebugListen:     o.debugListen,
		Version:         buildVersion(),
		Log:             log,
	})
	return d, o.explain(err)
}

// centrifugo returns what there is to do with and in place of a Centrifugo; both
// are nil if that is nothing.
func (o *server) centrifugo(file sections) (streams *centrifugo.Config, publisher *centrifugo.PublisherOptions, err error) {
	if o.realtime == nil {
		return nil, nil, nil
	}
	if streams, err = file.streams(); err != nil {
		return nil, nil, err
	}
	switch {
	case o.realtime.value == "centrifugo":
		publisher, err = file.publisher()
	case file.has("centrifugo"):
		err = file.locate("", &centrifugo.SettingError{Setting: "centrifugo", Message: "says how to reach a Centrifugo that nothing is brought to: realtime is " + o.realtime.value + ", not centrifugo"})
	}
	return streams, publisher, err
}

// hooks returns who is told what happens to boards.
func (o *server) hooks(file sections) ([]hooks.Hook, error) {
	if o.realtime == nil {
		return nil, nil // as with a Centrifugo: not by a server that is there to try things
	}
	return file.hooks()
}

// unlessStopped is an error, but not that of being told to stop before there
// was anything to stop.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (o *server) logger(out io.Writer) (*slog.Logger, error) {
	return telemetry.NewLogger(out, o.logFormat.value, o.logLevel.value)
}

// explain turns what can be wrong with a start into a sentence and a way out.
func (o *server) explain(err error) error {
	if used, ok := errors.AsType[*localstore.InUseError](err); ok {
		return withHint(used, "stop it, or choose another --data")
	}
	if errors.Is(err, localstore.ErrDamaged) {
		return withHint(err, "restore the directory from a backup, or choose another --data")
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "listen" {
		return o.explainListen(e)
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" || errors.Is(err, leaderboard.ErrStorageUnavailable) {
		return withHint(err, "see that Redis runs there, and that --redis says how to reach it")
	}
	if errors.Is(err, os.ErrPermission) {
		return withHint(err, "choose another --data, or let this user write there")
	}
	return err
}

func (o *server) explainListen(err *net.OpError) error {
	address, option := o.listen, "--listen"
	if err.Addr != nil {
		address = err.Addr.String()
	}
	if address == o.debugListen {
		option = "--debug-listen"
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return withHint(fmt.Errorf("address %s is in use by another process", address), "stop it, or choose another "+option)
	}
	reason := err.Err
	if malformed, ok := errors.AsType[*net.AddrError](err); ok {
		reason = errors.New(malformed.Err)
	}
	return withHint(fmt.Errorf("address %s: %w", address, reason), "choose another "+option+", such as "+defaultListen)
}

func announceKey(out io.Writer, key, data string) {
	fmt.Fprintf(out, `
API key, printed this once; %s keeps only its hash:

  %s

`, data, key)
}

// urlOf returns an address as one would type it into a browser on this machine.
func urlOf(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return "http://" + a.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

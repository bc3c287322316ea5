package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"laurel/client"
)

// remote is the options of commands that speak to a server.
type remote struct {
	server   string
	key      apiKey
	attempts int // of a write; 0 is one
	season   int // 0: the current one
}

func remoteOptions(flags *flag.FlagSet) *remote {
	r := &remote{}
	flags.StringVar(&r.server, "server", "http://"+defaultListen, "`address` of the server")
	r.key.declare(flags, "what the server printed at its first start")
	return r
}

// withSeason declares the option by which a command is about one season.
func (r *remote) withSeason(flags *flag.FlagSet) *remote {
	flags.IntVar(&r.season, "season", 0, "that of this `number`, as laurel seasons prints it; 0: the current one")
	return r
}

// connect returns a client of the server.
func (r *remote) connect(httpClient *http.Client) (*client.Client, error) {
	if r.season < 0 {
		return nil, usage("season must be at least 1", "laurel seasons BOARD prints those that there are")
	}
	key, err := r.key.read()
	if err != nil {
		return nil, err
	}
	address := r.server
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	c, err := client.New(address, client.Options{APIKey: key, HTTPClient: httpClient, Attempts: r.attempts})
	if err != nil {
		return nil, usage(err.Error(), "--server is like http://127.0.0.1:8000")
	}
	if r.season > 0 {
		return c.InSeason(r.season), nil
	}
	return c, nil
}

// explain adds to an error of a client what to do about it.
func (r *remote) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ECONNREFUSED):
		return withHint(fmt.Errorf("no server answers at %s: %w", r.server, bare(err)), "start one with `laurel demo` or `laurel serve`, or name another with --server")
	case client.CodeOf(err) == client.CodeUnauthorized && r.key == apiKey{}:
		return withHint(errors.New("the server takes scores only with an API key"), "it printed one at its first start; give it with --api-key-file, or as LAUREL_API_KEY")
	case client.CodeOf(err) == client.CodeUnauthorized:
		return withHint(errors.New("the server does not know this API key"), "it printed one at its first start; a file "+keyFileName+" in its data directory can be removed to have a new one made")
	}
	return err
}

// bare takes the method and address off a network error; the message has them.
func bare(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Err
	}
	return err
}

// apiKey is an API key as it is given to a command.
type apiKey struct{ value, file string }

func (k *apiKey) declare(flags *flag.FlagSet, help string) {
	flags.StringVar(&k.value, "api-key", "", "API `key`: "+help+"; other users of this machine can see it on a command line, so prefer the file or the environment")
	flags.StringVar(&k.file, "api-key-file", "", "`file` that holds the API key and nothing else")
}

// read returns the key, or "" if none was given.
func (k *apiKey) read() (string, error) {
	if k.file == "" {
		return k.value, nil
	}
	if k.value != "" {
		return "", usage("the API key is given twice, as api-key and in api-key-file", "leave one of them out")
	}
	content, err := os.ReadFile(k.file)
	if err != nil {
		return "", fmt.Errorf("API key: %w", err)
	}
	key := strings.TrimSpace(string(content))
	if key == "" {
		return "", fmt.Errorf("API key: %s is empty", k.file)
	}
	return key, nil
}

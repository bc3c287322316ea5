package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"laurel/client"
	"laurel/internal/daemon"
)

// serve runs a server, where a program would know the address of one.
func serve() (url, key string, stop func()) {
	data, err := os.MkdirTemp("", "laurel-example-")
	check(err)
	d, err := daemon.Open(context.Background(), daemon.Options{Data: data, Listen: "127.0.0.1:0"})
	check(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	return "http://" + d.Addr().String(), d.NewKey(), func() {
		cancel()
		check(errors.Join(<-ended, os.RemoveAll(data)))
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func Example() {
	ctx := context.Background()
	url, key, stop := serve()
	defer stop()

	c, err := client.New(url, client.Options{APIKey: key})
	check(err)
	defer c.Close()

	outcome, err := c.Submit(ctx, "race",
		client.Submission{Member: "alice", Score: "12"},
		client.Submission{Member: "bob", Score: "9", Data: map[string]string{"name": "Bob B."}},
	)
	check(err)
	for _, r := range outcome.Results {
		fmt.Println(r.Member, "is number", r.Rank, "of", outcome.Total)
	}
	// Output:
	// alice is number 1 of 2
	// bob is number 2 of 2
}

func ExampleClient_Watch() {
	ctx := context.Background()
	url, key, stop := serve()
	defer stop()
	c, err := client.New(url, client.Options{APIKey: key})
	check(err)
	defer c.Close()
	_, err = c.Submit(ctx, "race", client.Submission{Member: "alice", Score: "12"})
	check(err)

	for table, err := range c.Watch(ctx, "race", client.WatchOptions{}) {
		check(err)
		if len(table.Entries) == 0 {
			continue // the table of a new board
		}
		leader := table.Entries[0]
		fmt.Println(leader.Member, "leads with", leader.Score)
		if leader.Member == "bob" {
			break
		}
		_, err = c.Submit(ctx, "race", client.Submission{Member: "bob", Score: "12.0e1"})
		check(err)
	}
	// Output:
	// alice leads with 12
	// bob leads with 120
}

func ExampleClient_CreateBoard() {
	ctx := context.Background()
	url, key, stop := serve()
	defer stop()
	c, err := client.New(url, client.Options{APIKey: key})
	check(err)
	defer c.Close()

	_, err = c.CreateBoard(ctx, client.Settings{ID: "laps", Order: "asc", Policy: "best", Decimals: 3})
	check(err)
	for _, seconds := range []client.Score{"83.52", "82.117", "84"} {
		outcome, err := c.Submit(ctx, "laps", client.Submission{Member: "alice", Score: seconds})
		check(err)
		r := outcome.Results[0]
		fmt.Println(seconds.Fixed(3), "accepted:", r.Accepted, "best:", r.Score.Fixed(3))
	}
	// Output:
	// 83.520 accepted: true best: 83.520
	// 82.117 accepted: true best: 82.117
	// 84.000 accepted: false best: 82.117
}

func ExampleError() {
	url, key, stop := serve()
	defer stop()
	c, err := client.New(url, client.Options{APIKey: key})
	check(err)
	defer c.Close()

	_, err = c.Entry(context.Background(), "race", "alice")
	if refused, ok := errors.AsType[*client.Error](err); ok {
		fmt.Println(refused.Status, refused.Code)
	}
	// Output:
	// 404 board_not_found
}

func ExampleEntry() {
	entry := client.Entry{Member: "bob", Data: json.RawMessage(`{"name": "Bob B.", "country": "FI"}`)}
	var data struct{ Name, Country string }
	check(json.Unmarshal(entry.Data, &data))
	fmt.Println(data.Name, "from", data.Country)
	// Output:
	// Bob B. from FI
}

package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"strconv"

	"laurel/client"
)

// submitAttempts is how often a score is sent at the most: for about a second, if
// nobody is there.
const submitAttempts = 4

func submitCommand() command {
	return command{
		name:  "submit",
		args:  "BOARD MEMBER SCORE",
		short: "sends one score to a server",
		long: `
Sends a score that a member made. What it does is the board's policy: it is
added to what the member has, or replaces it, or replaces it if it is better. A
board that does not exist is created with the default settings, which add. If no
answer comes, the score is sent again a few times; it counts once.

  laurel submit race alice 5 --api-key-file key
  laurel submit race alice 5 --data-json '{"name": "Alice"}'

With --if-rev the score is taken only if nobody has changed the entry since it
was read: laurel rank --json tells its entry_rev.

  laurel submit race alice 12 --if-rev 31`,
		setup: func(flags *flag.FlagSet) action {
			remote := remoteOptions(flags).withSeason(flags)
			data := flags.String("data-json", "", "JSON `object` to keep with the entry, such as a display name; null removes it")
			once := flags.String("idempotency-key", "", "`key` under which the score counts once, however often the command is run within a day; without, each run has its own")
			ifRev := flags.String("if-rev", "", "take the score only if the member's entry is at this `rev`, or with 0 only if there is none")
			asJSON := flags.Bool("json", false, "print the answer as one line of JSON")
			return func(ctx context.Context, t terminal, args []string) error {
				score, err := client.ParseScore(args[2])
				if err != nil || args[2] == "" {
					return usage(fmt.Sprintf("score %q is not a decimal number", args[2]), "it is like 12, -3 or 0.25")
				}
				sub := client.Submission{Member: args[1], Score: score}
				if *data != "" {
					if !json.Valid([]byte(*data)) {
						return usage("data-json is not JSON", `it is like {"name": "Alice"}`)
					}
					sub.Data = json.RawMessage(*data)
				}
				if *ifRev != "" {
					rev, err := strconv.ParseUint(*ifRev, 10, 53)
					if err != nil {
						return usage(fmt.Sprintf("if-rev is %q, must be the entry_rev of an entry, or 0", *ifRev), "`laurel rank BOARD MEMBER --json` tells it")
					}
					sub.IfRev = &rev
				}
				remote.attempts = submitAttempts
				c, err := remote.connect(nil)
				if err != nil {
					return err
				}
				defer c.Close()
				outcome, err := c.Once(*once).Submit(ctx, args[0], sub)
				if err != nil {
					return remote.explain(err)
				}
				if *asJSON {
					return json.NewEncoder(t.Out).Encode(outcome)
				}
				fmt.Fprintln(t.Out, sentence(outcome))
				return nil
			}
		},
	}
}

// sentence tells what a submission did.
func sentence(o client.Outcome) string {
	r := o.Results[0]
	member := printable(r.Member)
	switch {
	case !r.Accepted && r.Rank == 0:
		return fmt.Sprintf("%s is not on %s: it is full, and the new score is not better than its last", member, o.Board)
	case !r.Accepted:
		return fmt.Sprintf("%s keeps %s on %s, number %d of %d: the new score is not better", member, r.Score, o.Board, r.Rank, o.Total)
	case r.PreviousRank == 0:
		return fmt.Sprintf("%s is on %s with %s, number %d of %d", member, o.Board, r.Score, r.Rank, o.Total)
	case r.PreviousRank == r.Rank:
		return fmt.Sprintf("%s has %s on %s (before: %s), still number %d of %d", member, r.Score, o.Board, r.PreviousScore, r.Rank, o.Total)
	}
	return fmt.Sprintf("%s has %s on %s (before: %s), number %d of %d (before: %d)", member, r.Score, o.Board, r.PreviousScore, r.Rank, o.Total, r.PreviousRank)
}

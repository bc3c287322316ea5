// Package client talks to a Laurel server: it submits scores, reads boards and
// follows them as they move.
//
// A [Client] is made once and used by many goroutines. Scores are exact
// decimals, see [Score]; what the server refuses is an [*Error] with a stable
// code. Nothing is sent twice by itself, because a second submit to a board that
// adds up is a second score.
//
//	laurel, err := client.New("http://127.0.0.1:8000", client.Options{APIKey: key})
//	if err != nil {
//		return err
//	}
//	defer laurel.Close()
//
//	outcome, err := laurel.Submit(ctx, "race", client.Submission{Member: "alice", Score: "12.5"})
//	if err != nil {
//		return err
//	}
//	fmt.Println("alice is number", outcome.Results[0].Rank)
//
//	for table, err := range laurel.Watch(ctx, "race", client.WatchOptions{}) {
//		if err != nil {
//			return err
//		}
//		for _, e := range table.Entries {
//			fmt.Println(e.Rank, e.Member, e.Score)
//		}
//	}
package client

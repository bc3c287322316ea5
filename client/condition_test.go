package client_test

import (
	"testing"

	"laurel/client"
)

func TestWritesOnCondition(t *testing.T) {
	s := newServer(t)
	c, err := client.New("http://"+s.listen, client.Options{APIKey: key})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	changed := func(what string, err error) {
		t.Helper()
		if client.CodeOf(err) != client.CodeEntryChanged {
			t.Errorf("%s: %v, want the code %s", what, err, client.CodeEntryChanged)
		}
	}
	alice := client.Submission{Member: "alice", Score: "5", IfRev: new(uint64)}
	first, err := c.Submit(t.Context(), "race", alice)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Submit(t.Context(), "race", alice)
	changed("there is an entry", err)
	_, err = c.Set(t.Context(), "race", alice)
	changed("there is an entry", err)
	read, err := c.Entry(t.Context(), "race", "alice")
	if err != nil || read.EntryRev == 0 || read.EntryRev != first.Results[0].EntryRev {
		t.Fatalf("%+v, %v; the submit answered %+v", read, err, first.Results[0])
	}
	alice.IfRev = &read.EntryRev
	second, err := c.Set(t.Context(), "race", alice)
	if err != nil || second.Results[0].EntryRev <= read.EntryRev {
		t.Fatalf("%+v, %v", second, err)
	}
	_, err = c.Set(t.Context(), "race", alice)
	changed("it was set", err)
	_, err = c.SubmitAcross(t.Context(), client.BoardSubmission{Board: "race", Submission: alice})
	changed("it was set", err)
	_, err = c.RemoveIf(t.Context(), "race", "alice", read.EntryRev)
	changed("it was set", err)
	if _, err = c.RemoveIf(t.Context(), "race", "alice", second.Results[0].EntryRev); err != nil {
		t.Error(err)
	}
}

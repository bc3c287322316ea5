package leaderboard_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"laurel/internal/leaderboard"
	"laurel/internal/leaderboard/storetest"
)

// service is one over a model, at a time that is not in UTC and not in whole
// milliseconds.
func service(opts leaderboard.ServiceOptions) *leaderboard.Service {
	opts.Now = func() time.Time {
		return time.Date(2026, 11, 24, 11, 0, 0, 204_567_890, time.FixedZone("EET", 2*60*60))
	}
	return leaderboard.NewService(storetest.NewModel(), opts)
}

var stamped = time.Date(2026, 11, 24, 9, 0, 0, 204e6, time.UTC)

func points(t *testing.T, member, score string) leaderboard.Submission {
	t.Helper()
	return leaderboard.Submission{Member: member, Score: mustParse(t, score)}
}

func wantCode(t *testing.T, what string, err error, want leaderboard.Code) {
	t.Helper()
	if got := leaderboard.CodeOf(err); err == nil || got != want {
		t.Errorf("%s: error %v, want the code %s", what, err, want)
	}
}

func TestServiceCreatesBoardsWithDefaultsAndTime(t *testing.T) {
	s := service(leaderboard.ServiceOptions{})
	view, err := s.CreateBoard(t.Context(), leaderboard.Board{ID: "race", Decimals: 2, CreatedAt: time.Unix(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	want := leaderboard.Board{ID: "race", Decimals: 2, CreatedAt: stamped}.WithDefaults()
	if diff := cmp.Diff(want, view.Board); diff != "" {
		t.Errorf("board (-want +got):\n%s", diff)
	}
	if view.Board.CreatedAt.Location() != time.UTC {
		t.Errorf("created at %v, want UTC", view.Board.CreatedAt)
	}
	_, err = s.CreateBoard(t.Context(), leaderboard.Board{ID: "race"})
	wantCode(t, "CreateBoard again", err, leaderboard.CodeBoardExists)
	_, err = s.CreateBoard(t.Context(), leaderboard.Board{ID: "other", Top: 1000})
	wantCode(t, "CreateBoard with a top of 1000", err, leaderboard.CodeInvalidBoard)
}

func TestServicePatchesAndDeletes(t *testing.T) {
	s := service(leaderboard.ServiceOptions{})
	if _, err := s.CreateBoard(t.Context(), leaderboard.Board{ID: "race"}); err != nil {
		t.Fatal(err)
	}
	if view, err := s.PatchBoard(t.Context(), "race", leaderboard.Patch{Top: new(7)}); err != nil || view.Board.Top != 7 {
		t.Errorf("PatchBoard = %+v, %v", view, err)
	}
	_, err := s.PatchBoard(t.Context(), "race", leaderboard.Patch{Decimals: new(1)})
	wantCode(t, "PatchBoard of decimals", err, leaderboard.CodeImmutableSetting)
	if err := s.DeleteBoard(t.Context(), "race"); err != nil {
		t.Errorf("DeleteBoard: %v", err)
	}
	_, err = s.Board(t.Context(), "race")
	wantCode(t, "Board", err, leaderboard.CodeBoardNotFound)
}

func TestServiceSubmitsCompactAndStamped(t *testing.T) {
	s := service(leaderboard.ServiceOptions{})
	sub := points(t, "alice", "5")
	sub.Data = json.RawMessage(` { "name" : "Alice" } `)
	outcome, err := s.Submit(t.Context(), "race", []leaderboard.Submission{sub, points(t, "bob", "7")})
	if err != nil {
		t.Fatal(err)
	}
	wantResults := []leaderboard.Result{
		{Member: "alice", Accepted: true, Rev: 2, Current: leaderboard.Standing{Score: 5, Rank: 1}},
		{Member: "bob", Accepted: true, Rev: 3, Current: leaderboard.Standing{Score: 7, Rank: 1}},
	}
	if diff := cmp.Diff(wantResults, outcome.Results); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	page, err := s.Entry(t.Context(), leaderboard.Ref{Board: "race"}, "alice")
	if err != nil {
		t.Fatal(err)
	}
	want := leaderboard.Entry{Member: "alice", Score: 5, Rank: 2, Seq: 2, Rev: 2, Data: json.RawMessage(`{"name":"Alice"}`), UpdatedAt: stamped}
	if diff := cmp.Diff([]leaderboard.Entry{want}, page.Entries); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
}

// A name is used up by what is applied, and not by what is refused, though that
// may come first.
func TestServiceSubmitsOnce(t *testing.T) {
	s := service(leaderboard.ServiceOptions{})
	submit := func(name string, subs ...leaderboard.Submission) (leaderboard.Outcome, error) {
		return s.SubmitOnce(t.Context(), name, "race", subs)
	}
	_, err := submit("first", points(t, "alice", "0.5"))
	wantCode(t, "SubmitOnce with decimals", err, leaderboard.CodeTooManyDecimals)
	for i, repeated := range []bool{false, true, true} {
		outcome, err := submit("first", points(t, "alice", "5"), points(t, "bob", "7"))
		if err != nil || outcome.Repeated != repeated {
			t.Errorf("attempt %d: %+v, %v, want repeated to be %v", i+1, outcome, err, repeated)
		}
	}
	if _, err := submit("second", points(t, "alice", "5")); err != nil {
		t.Fatal(err)
	}
	page, err := s.Lookup(t.Context(), leaderboard.Ref{Board: "race"}, "alice", "bob")
	if err != nil {
		t.Fatal(err)
	}
	if alice, bob := page.Entries[0].Score, page.Entries[1].Score; alice != 10 || bob != 7 {
		t.Errorf("alice has %d and bob %d, want 10 and 7", alice, bob)
	}
}

func TestServiceSetsAndRemoves(t *testing.T) {
	s := service(leaderboard.ServiceOptions{})
	for range 2 {
		outcome, err := s.Set(t.Context(), "race", points(t, "alice", "5"))
		if err != nil || outcome.Results[0].Current.Score != 5 {
			t.Errorf("Set = %+v, %v, want a score of 5", outcome, err)
		}
	}
	if outcome, err := s.Remove(t.Context(), leaderboard.Ref{Board: "race"}, "alice"); err != nil || outcome.Boards[0].Total != 0 {
		t.Errorf("Remove = %+v, %v, want an empty board", outcome, err)
	}
	_, err := s.Remove(t.Context(), leaderboard.Ref{Board: "race"}, "alice")
	wantCode(t, "Remove again", err, leaderboard.CodeMemberNotFound)
}

func TestServiceCreatesABoardForItsFirstSubmission(t *testing.T) {
	s := service(leaderboard.ServiceOptions{})
	outcome, err := s.Submit(t.Context(), "race", []leaderboard.Submission{points(t, "alice", "5")})
	if err != nil {
		t.Fatal(err)
	}
	want := leaderboard.View{
		Board: leaderboard.Board{ID: "race", CreatedAt: stamped}.WithDefaults(), Season: 1, Rev: 2, Epoch: outcome.Boards[0].Epoch, Total: 1, StartsAt: stamped,
	}
	if diff := cmp.Diff([]leaderboard.View{want}, outcome.Boards); diff != "" {
		t.Errorf("boards (-want +got):\n%s", diff)
	}
	if _, err := s.Set(t.Context(), "other", points(t, "alice", "5")); err != nil {
		t.Errorf("Set on a new board: %v", err)
	}
}

func TestServiceSubmitsAcrossBoards(t *testing.T) {
	s := service(leaderboard.ServiceOptions{})
	if _, err := s.CreateBoard(t.Context(), leaderboard.Board{ID: "laps", Order: leaderboard.Ascending, Policy: leaderboard.Best, Decimals: 1}); err != nil {
		t.Fatal(err)
	}
	on := func(board, member, score string) leaderboard.BoardSubmission {
		return leaderboard.BoardSubmission{Board: board, Submission: points(t, member, score)}
	}
	_, err := s.SubmitAcross(t.Context(), []leaderboard.BoardSubmission{on("laps", "alice", "60"), on("goals", "alice", "2")})
	wantCode(t, "SubmitAcross to a board that is not there", err, leaderboard.CodeBoardNotFound)
	_, err = s.Board(t.Context(), "goals")
	wantCode(t, "the board afterwards", err, leaderboard.CodeBoardNotFound)
	if _, err := s.CreateBoard(t.Context(), leaderboard.Board{ID: "goals"}); err != nil {
		t.Fatal(err)
	}
	outcome, err := s.SubmitAcross(t.Context(), []leaderboard.BoardSubmission{on("laps", "alice", "61.5"), on("goals", "alice", "2"), on("laps", "alice", "62")})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range outcome.Results {
		got = append(got, fmt.Sprintf("%v %d #%d", r.Accepted, r.Current.Score, r.Current.Rank))
	}
	for _, v := range outcome.Boards {
		got = append(got, fmt.Sprintf("%s at %d", v.Board.ID, v.Rev))
	}
	if diff := cmp.Diff([]string{"true 615 #1", "true 2 #1", "false 615 #1", "laps at 2", "goals at 2"}, got); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
	_, err = s.SubmitAcross(t.Context(), []leaderboard.BoardSubmission{on("goals", "alice", "1"), on("goals", "alice", "0.5")})
	wantCode(t, "SubmitAcross of half a goal", err, leaderboard.CodeTooManyDecimals)
	_, err = s.SubmitAcross(t.Context(), []leaderboard.BoardSubmission{on("goals", "alice", "1"), on("no board", "alice", "1")})
	wantCode(t, "SubmitAcross to a board with a space", err, leaderboard.CodeInvalidBoard)
	_, err = s.SubmitAcross(t.Context(), nil)
	wantCode(t, "SubmitAcross of nothing", err, leaderboard.CodeEmptyBatch)
	if page, err := s.Entry(t.Context(), leaderboard.Ref{Board: "goals"}, "alice"); err != nil || page.Entries[0].Score != 2 {
		t.Errorf("alice has %+v, %v, want the 2 of before", page.Entries, err)
	}
}

func TestServiceCreatesNoBoard(t *testing.T) {
	var auto, manual leaderboard.ServiceOptions
	manual.NoAutoCreate = true
	big := points(t, "alice", "9007199254740991")
	for name, test := range map[string]struct {
		opts leaderboard.ServiceOptions
		code leaderboard.Code
		do   func(s *leaderboard.Service) error
	}{
		"where that is switched off": {manual, leaderboard.CodeBoardNotFound, func(s *leaderboard.Service) error {
			_, err := s.Submit(t.Context(), "race", []leaderboard.Submission{points(t, "alice", "5")})
			return err
		}},
		"to remove a member from it": {auto, leaderboard.CodeBoardNotFound, func(s *leaderboard.Service) error {
			_, err := s.Remove(t.Context(), leaderboard.Ref{Board: "race"}, "alice")
			return err
		}},
		"for more decimals than it would have": {auto, leaderboard.CodeTooManyDecimals, func(s *leaderboard.Service) error {
			_, err := s.Submit(t.Context(), "race", []leaderboard.Submission{points(t, "bob", "5"), points(t, "alice", "0.5")})
			return err
		}},
		"for a score out of range": {auto, leaderboard.CodeScoreOutOfRange, func(s *leaderboard.Service) error {
			_, err := s.Submit(t.Context(), "race", []leaderboard.Submission{points(t, "bob", "5"), points(t, "alice", "9007199254740992")})
			return err
		}},
		"for a sum out of range": {auto, leaderboard.CodeScoreOutOfRange, func(s *leaderboard.Service) error {
			_, err := s.Submit(t.Context(), "race", []leaderboard.Submission{big, big})
			return err
		}},
		"for a season that it would not have": {auto, leaderboard.CodeSeasonNotFound, func(s *leaderboard.Service) error {
			first, second := points(t, "bob", "5"), points(t, "alice", "5")
			first.Season, second.Season = 1, 2
			_, err := s.SubmitAcross(t.Context(), []leaderboard.BoardSubmission{{Board: "race", Submission: first}})
			if !errors.Is(err, leaderboard.ErrBoardNotFound) {
				t.Errorf("the first season of no board: %v", err)
			}
			_, err = s.Submit(t.Context(), "race", []leaderboard.Submission{second})
			if failed, ok := errors.AsType[*leaderboard.BatchError](err); ok {
				failed.Index++ // it is the only one
			}
			return err
		}},
		"for a member that is not valid": {auto, leaderboard.CodeInvalidMember, func(s *leaderboard.Service) error {
			_, err := s.Submit(t.Context(), "race", []leaderboard.Submission{points(t, "bob", "5"), points(t, "", "5")})
			return err
		}},
	} {
		s := service(test.opts)
		err := test.do(s)
		wantCode(t, name, err, test.code)
		failed, ok := errors.AsType[*leaderboard.BatchError](err)
		if !ok {
			t.Errorf("%s: %v is not a BatchError", name, err)
		} else if test.code != leaderboard.CodeBoardNotFound && failed.Index != 1 {
			t.Errorf("%s: fails at %d, want at 1", name, failed.Index)
		}
		if boards, err := s.Boards(t.Context(), "", 10); err != nil || len(boards) != 0 {
			t.Errorf("%s: boards = %v, %v, want none", name, boards, err)
		}
	}
}

// elsewhere is a store on which somebody else creates and deletes the board that
// a submission waits for.
type elsewhere struct {
	leaderboard.Store
	before func(ctx context.Context, call int) error
	calls  int
}

func (s *elsewhere) CreateBoard(ctx context.Context, b leaderboard.Board) (leaderboard.View, error) {
	if err := s.before(ctx, s.calls); err != nil {
		return leaderboard.View{}, err
	}
	s.calls++
	view, err := s.Store.CreateBoard(ctx, b)
	if err == nil && s.calls == 1 {
		err = s.DeleteBoard(ctx, b.ID) // gone again before the submission comes
	}
	return view, err
}

func TestServiceSubmitsWhoeverCreatesTheBoard(t *testing.T) {
	model := storetest.NewModel()
	store := &elsewhere{Store: model, before: func(ctx context.Context, call int) error {
		if call == 0 {
			return nil
		}
		_, err := model.CreateBoard(ctx, leaderboard.Board{ID: "race", Policy: leaderboard.Latest}.WithDefaults())
		return err
	}}
	outcome, err := leaderboard.NewService(store, leaderboard.ServiceOptions{}).Submit(t.Context(), "race", []leaderboard.Submission{points(t, "alice", "5")})
	if err != nil {
		t.Fatal(err)
	}
	if store.calls != 2 || outcome.Boards[0].Board.Policy != leaderboard.Latest {
		t.Errorf("%d calls of CreateBoard and %+v, want 2 and the board of somebody else", store.calls, outcome.Boards)
	}
}

func TestServiceTellsWhyABoardCannotBeCreated(t *testing.T) {
	store := &elsewhere{Store: storetest.NewModel(), before: func(context.Context, int) error { return leaderboard.ErrStorageUnavailable }}
	_, err := leaderboard.NewService(store, leaderboard.ServiceOptions{}).Submit(t.Context(), "race", []leaderboard.Submission{points(t, "alice", "5")})
	wantCode(t, "Submit", err, leaderboard.CodeStorageUnavailable)
}

func TestServiceCreatesOneBoardForManyFirstSubmissions(t *testing.T) {
	s := service(leaderboard.ServiceOptions{})
	var wg sync.WaitGroup
	for i := range 16 {
		sub := points(t, fmt.Sprint(i%4), "1")
		wg.Go(func() {
			if _, err := s.Submit(t.Context(), "race", []leaderboard.Submission{sub}); err != nil {
				t.Errorf("Submit: %v", err)
			}
		})
	}
	wg.Wait()
	view, err := s.Board(t.Context(), "race")
	if err != nil || view.Rev != 17 || view.Total != 4 {
		t.Errorf("board = %+v, %v, want 4 entries at rev 17", view, err)
	}
}

func TestServiceLimitsABatch(t *testing.T) {
	s := service(leaderboard.ServiceOptions{})
	_, err := s.Submit(t.Context(), "race", nil)
	wantCode(t, "Submit of nothing", err, leaderboard.CodeEmptyBatch)
	batch := make([]leaderboard.Submission, leaderboard.MaxBatch+1)
	for i := range batch {
		batch[i] = points(t, fmt.Sprint(i), "1")
	}
	_, err = s.Submit(t.Context(), "race", batch)
	wantCode(t, "Submit of 1001", err, leaderboard.CodeBatchTooLarge)
	if outcome, err := s.Submit(t.Context(), "race", batch[:leaderboard.MaxBatch]); err != nil || outcome.Boards[0].Total != leaderboard.MaxBatch {
		t.Errorf("Submit of 1000: %v", err)
	}
}

func TestServiceRefusesWhatIsNotValid(t *testing.T) {
	s := service(leaderboard.ServiceOptions{})
	ctx := t.Context()
	if _, err := s.Submit(ctx, "race", []leaderboard.Submission{points(t, "alice", "5")}); err != nil {
		t.Fatal(err)
	}
	bad := leaderboard.Ref{Board: "no/board"}
	race := leaderboard.Ref{Board: "race"}
	badData := points(t, "alice", "5")
	badData.Data = json.RawMessage("[]")
	for _, test := range []struct {
		what string
		code leaderboard.Code
		do   func() error
	}{
		{"CreateBoard", leaderboard.CodeInvalidBoard, func() error { _, err := s.CreateBoard(ctx, leaderboard.Board{ID: bad.Board}); return err }},
		{"PatchBoard", leaderboard.CodeInvalidBoard, func() error { _, err := s.PatchBoard(ctx, bad.Board, leaderboard.Patch{}); return err }},
		{"DeleteBoard", leaderboard.CodeInvalidBoard, func() error { return s.DeleteBoard(ctx, bad.Board) }},
		{"Board", leaderboard.CodeInvalidBoard, func() error { _, err := s.Board(ctx, bad.Board); return err }},
		{"Entries", leaderboard.CodeInvalidBoard, func() error { _, err := s.Entries(ctx, bad, leaderboard.Range{Limit: 1}); return err }},
		{"Around", leaderboard.CodeInvalidBoard, func() error { _, err := s.Around(ctx, bad, "alice", 1); return err }},
		{"Lookup", leaderboard.CodeInvalidBoard, func() error { _, err := s.Lookup(ctx, bad, "alice"); return err }},
		{"Entry", leaderboard.CodeInvalidBoard, func() error { _, err := s.Entry(ctx, bad, "alice"); return err }},
		{"Submit", leaderboard.CodeInvalidBoard, func() error {
			_, err := s.Submit(ctx, bad.Board, []leaderboard.Submission{points(t, "alice", "5")})
			return err
		}},
		{"Remove", leaderboard.CodeInvalidBoard, func() error { _, err := s.Remove(ctx, leaderboard.Ref{Board: bad.Board}, "alice"); return err }},

		{"Set for no member", leaderboard.CodeInvalidMember, func() error { _, err := s.Set(ctx, "race", points(t, "", "5")); return err }},
		{"Remove of a member", leaderboard.CodeInvalidMember, func() error { _, err := s.Remove(ctx, leaderboard.Ref{Board: "race"}, "\x00"); return err }},
		{"Around a member", leaderboard.CodeInvalidMember, func() error { _, err := s.Around(ctx, race, "\n", 1); return err }},
		{"Lookup of members", leaderboard.CodeInvalidMember, func() error { _, err := s.Lookup(ctx, race, "alice", "\xff"); return err }},
		{"Entry of a member", leaderboard.CodeInvalidMember, func() error { _, err := s.Entry(ctx, race, ""); return err }},

		{"Set with an array as data", leaderboard.CodeInvalidData, func() error { _, err := s.Set(ctx, "race", badData); return err }},

		{"Boards by 0", leaderboard.CodeInvalidLimit, func() error { _, err := s.Boards(ctx, "", 0); return err }},
		{"Boards by 1001", leaderboard.CodeInvalidLimit, func() error { _, err := s.Boards(ctx, "", 1001); return err }},
		{"Entries by 0", leaderboard.CodeInvalidLimit, func() error { _, err := s.Entries(ctx, race, leaderboard.Range{}); return err }},
		{"Entries by -1", leaderboard.CodeInvalidLimit, func() error { _, err := s.Entries(ctx, race, leaderboard.Range{Limit: -1}); return err }},
		{"Entries by 1001", leaderboard.CodeInvalidLimit, func() error { _, err := s.Entries(ctx, race, leaderboard.Range{Limit: 1001}); return err }},
		{"Entries from -1", leaderboard.CodeInvalidLimit, func() error {
			_, err := s.Entries(ctx, race, leaderboard.Range{Offset: -1, Limit: 1})
			return err
		}},
		{"Around by 0", leaderboard.CodeInvalidLimit, func() error { _, err := s.Around(ctx, race, "alice", 0); return err }},

		{"Entry of nobody", leaderboard.CodeMemberNotFound, func() error { _, err := s.Entry(ctx, race, "nobody"); return err }},
		{"Around nobody", leaderboard.CodeMemberNotFound, func() error { _, err := s.Around(ctx, race, "nobody", 1); return err }},
		{"Entry of no board", leaderboard.CodeBoardNotFound, func() error { _, err := s.Entry(ctx, leaderboard.Ref{Board: "none"}, "alice"); return err }},
		{"Entries of no season", leaderboard.CodeSeasonNotFound, func() error {
			_, err := s.Entries(ctx, leaderboard.Ref{Board: "race", Season: 2}, leaderboard.Range{Limit: 1})
			return err
		}},
	} {
		wantCode(t, test.what, test.do(), test.code)
	}
	if view, err := s.Board(ctx, "race"); err != nil || view.Rev != 2 {
		t.Errorf("board = %+v, %v, want rev 2", view, err)
	}
}

func TestServiceReads(t *testing.T) {
	s := service(leaderboard.ServiceOptions{})
	for i := range 5 {
		if _, err := s.Submit(t.Context(), "race", []leaderboard.Submission{points(t, fmt.Sprint("m", i), fmt.Sprint(-i))}); err != nil {
			t.Fatal(err)
		}
	}
	race := leaderboard.Ref{Board: "race"}
	members := func(page leaderboard.Page, err error) (names []string) {
		if err != nil {
			t.Error(err)
		}
		for _, e := range page.Entries {
			names = append(names, e.Member)
		}
		return names
	}
	for what, test := range map[string]struct{ want, got []string }{
		"Entries": {[]string{"m1", "m2"}, members(s.Entries(t.Context(), race, leaderboard.Range{Offset: 1, Limit: 2}))},
		"After":   {[]string{"m4"}, members(s.Entries(t.Context(), race, leaderboard.Range{After: &leaderboard.Position{Score: -3, Seq: 99}, Limit: 9}))},
		"Around":  {[]string{"m2", "m3", "m4"}, members(s.Around(t.Context(), race, "m3", 3))},
		"Lookup":  {[]string{"m4", "nobody", "m0"}, members(s.Lookup(t.Context(), race, "m4", "nobody", "m0"))},
		"Entry":   {[]string{"m2"}, members(s.Entry(t.Context(), race, "m2"))},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Errorf("members by %s (-want +got):\n%s", what, diff)
		}
	}
}

func TestServiceIsWritableAsItsStoreIs(t *testing.T) {
	model := storetest.NewModel()
	s := leaderboard.NewService(model, leaderboard.ServiceOptions{})
	if err := s.Writable(); err != nil {
		t.Errorf("Writable: %v", err)
	}
	if err := model.Close(); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "Writable", s.Writable(), leaderboard.CodeShuttingDown)
	_, err := s.Submit(t.Context(), "race", []leaderboard.Submission{points(t, "alice", "5")})
	wantCode(t, "Submit", err, leaderboard.CodeShuttingDown)
}

func TestServiceTakesTheTimeOfTheClock(t *testing.T) {
	s := leaderboard.NewService(storetest.NewModel(), leaderboard.ServiceOptions{})
	before := time.Now().Truncate(time.Millisecond)
	if _, err := s.Set(t.Context(), "race", points(t, "alice", "5")); err != nil {
		t.Fatal(err)
	}
	page, err := s.Entry(t.Context(), leaderboard.Ref{Board: "race"}, "alice")
	if err != nil {
		t.Fatal(err)
	}
	if got := page.Entries[0].UpdatedAt; got.Before(before) || got.After(time.Now()) {
		t.Errorf("updated at %v, not between %v and now", got, before)
	}
}

func TestSelect(t *testing.T) {
	s, ctx := service(leaderboard.ServiceOptions{}), t.Context()
	for i := range 5 {
		if _, err := s.Submit(ctx, "race", []leaderboard.Submission{points(t, fmt.Sprint("m", i), fmt.Sprint(-i))}); err != nil {
			t.Fatal(err)
		}
	}
	race := leaderboard.Ref{Board: "race"}
	got, err := s.Select(ctx, race, []string{"m4", "nobody", "m0", "m4", "m2", "somebody", "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range got.Entries {
		names = append(names, fmt.Sprint(e.Rank, " ", e.Member))
	}
	if diff := cmp.Diff([]string{"1 m0", "3 m2", "5 m4"}, names); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"nobody", "somebody"}, got.NotFound); diff != "" {
		t.Errorf("not found (-want +got):\n%s", diff)
	}
	for what, test := range map[string]struct {
		at      leaderboard.Ref
		members []string
		code    leaderboard.Code
	}{
		"nobody":           {race, nil, leaderboard.CodeEmptyBatch},
		"1001 members":     {race, make([]string, 1001), leaderboard.CodeBatchTooLarge},
		"a wrong member":   {race, []string{"m1", ""}, leaderboard.CodeInvalidMember},
		"no board":         {leaderboard.Ref{Board: "none"}, []string{"m1"}, leaderboard.CodeBoardNotFound},
		"not a board's id": {leaderboard.Ref{Board: "/"}, []string{"m1"}, leaderboard.CodeInvalidBoard},
		"no season":        {leaderboard.Ref{Board: "race", Season: 2}, []string{"m1"}, leaderboard.CodeSeasonNotFound},
	} {
		_, err := s.Select(ctx, test.at, test.members)
		wantCode(t, what, err, test.code)
	}
}

package oracle

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// binary is the server under test, built with the race detector.
var binary string

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "laurel-oracle")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "laurel")
	if out, err := exec.CommandContext(ctx, "go", "build", "-race", "-o", binary, "laurel/cmd/laurel").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build the server: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// TestKilledServerKeepsItsWord runs the server under faults for a short time. `make
// soak` sets LAUREL_SOAK to a longer one, and LAUREL_SEED repeats a run.
func TestKilledServerKeepsItsWord(t *testing.T) {
	t.Parallel()
	opts := options(t, 12*time.Second)
	report, err := Run(t.Context(), opts)
	t.Logf("%+v", report)
	if err != nil {
		t.Fatal(err)
	}
	if report.Faults[killed] == 0 || report.Acknowledged == 0 || report.Rebuilt == 0 || report.Tables == 0 {
		t.Error("nothing was put to the test")
	}
}

// options are those of a run that takes d if the environment does not say otherwise.
func options(t *testing.T, d time.Duration) Options {
	t.Helper()
	opts := Options{
		Binary:   binary,
		Dir:      t.ArtifactDir(),
		Seed:     rand.Uint64(),
		Duration: d,
	}
	var err error
	if s := os.Getenv("LAUREL_SOAK"); s != "" {
		if opts.Duration, err = time.ParseDuration(s); err != nil {
			t.Fatalf("LAUREL_SOAK: %v", err)
		}
	}
	if s := os.Getenv("LAUREL_SEED"); s != "" {
		if opts.Seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("LAUREL_SEED: %v", err)
		}
	}
	t.Logf("LAUREL_SEED=%d", opts.Seed)
	return opts
}

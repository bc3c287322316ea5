package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// CheckSource returns an error if the source tree of Laurel is not in dir.
func CheckSource(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil || !strings.HasPrefix(string(text), "module laurel\n") {
		return errors.New("there is no source tree of Laurel here")
	}
	_, err = exec.LookPath("go")
	return err
}

// results are the metrics of Go benchmarks by the benchmarks' names, without
// "Benchmark" and the number of processors.
type results map[string]map[string]float64

// goBench runs the benchmarks of a package whose names match.
func (b *bench) goBench(ctx context.Context, pkg, names, benchtime string, args ...string) (results, error) {
	args = append([]string{"test", "-run", "^$", "-bench", names, "-benchtime", benchtime, pkg}, args...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.Source
	cmd.Env = environ(cmd.Environ())
	cmd.Env = append(cmd.Env, "TMPDIR="+b.dir) // the disk that is measured is the same as elsewhere
	output, err := cmd.Output()
	if err != nil {
		if failed, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w\n%s%s", err, output, failed.Stderr)
		}
		return nil, fmt.Errorf("go test -bench '%s' %s: %w", names, pkg, err)
	}
	return parseResults(output), nil
}

func parseResults(output []byte) results {
	all := results{}
	for line := range bytes.Lines(output) {
		fields := strings.Fields(string(line))
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			if _, err := strconv.Atoi(name[i+1:]); err == nil {
				name = name[:i]
			}
		}
		metrics := map[string]float64{}
		for i := 2; i+1 < len(fields); i += 2 {
			if value, err := strconv.ParseFloat(fields[i], 64); err == nil {
				metrics[fields[i+1]] = value
			}
		}
		all[name] = metrics
	}
	return all
}

// get returns metrics of a benchmark, or an error if one of them is not there.
func (r results) get(name string, units ...string) ([]float64, error) {
	values := make([]float64, len(units))
	for i, unit := range units {
		value, ok := r[name][unit]
		if !ok {
			return nil, fmt.Errorf("benchmark %s reports no %s; there are %v", name, unit, maps.Collect(maps.All(r)))
		}
		values[i] = value
	}
	return values, nil
}

func measureZset(ctx context.Context, b *bench) error {
	n := b.size.members
	found, err := b.goBench(ctx, "./internal/zset", "^Benchmark(TreeUpdate|SetUpdate|Memory)$", b.size.turn.String(), "-args", "-zset.n", strconv.Itoa(n))
	if err != nil {
		return err
	}
	for _, part := range []struct{ bench, what string }{{"TreeUpdate", "index"}, {"SetUpdate", "set"}} {
		for _, move := range []struct{ name, what string }{
			{"anywhere", "to anywhere"}, {"near", "to nearby"}, {"up", "upwards"},
		} {
			v, err := found.get(part.bench+"/move="+move.name, "zset-ns", "tidwall-ns", "times-as-fast")
			if err != nil {
				return err
			}
			b.row(row{
				what: fmt.Sprintf("update of the %s, %s, at %s", part.what, move.what, members(n)),
				ours: fmt.Sprintf("%.0f ns", v[0]), yardstick: fmt.Sprintf("%.0f ns tidwall/btree", v[1]),
				ratio: v[2], target: atLeast(v[2], 1.5),
			})
		}
	}
	for _, memory := range []struct {
		what, part, made, yardstick string
		most                        float64
	}{
		{"bytes an entry, index, as loaded", "tree", "loaded", "", 60},
		{"bytes an entry, index, grown", "tree", "grown", "tree", 60},
		{"bytes an entry, whole with ids, as loaded", "whole", "loaded", "", 120},
		{"bytes an entry, whole with ids, grown", "whole", "grown", "whole", 120},
		{"bytes an entry, whole with ids, moved about", "whole", "moved", "", 120},
	} {
		v, err := found.get(fmt.Sprintf("Memory/part=%s/made=%s/impl=zset", memory.part, memory.made), "B/entry")
		if err != nil {
			return err
		}
		r := row{what: memory.what, ours: fmt.Sprintf("%.1f B", v[0]), target: atMost(v[0], memory.most, " B")}
		if memory.yardstick != "" {
			y, err := found.get(fmt.Sprintf("Memory/part=%s/made=grown/impl=tidwall", memory.yardstick), "B/entry")
			if err != nil {
				return err
			}
			r.yardstick, r.ratio = fmt.Sprintf("%.1f B tidwall/btree", y[0]), v[0]/y[0]
		}
		b.row(r)
	}
	return nil
}

func measureStore(ctx context.Context, b *bench) error {
	found, err := b.goBench(ctx, "./internal/localstore", "^Benchmark(Submit|Batch|Rank)$", (4 * b.size.turn).String(),
		"-args", "-local.members", strconv.Itoa(b.size.members))
	if err != nil {
		return err
	}
	for _, r := range []struct {
		bench, what string
		least       float64
	}{
		{"Submit", "single submits, 256 writers", 0.7},
		{"Batch/writers=1", "batches of 1,000, 1 writer: scores", 0.4},
		{"Batch/writers=4", "batches of 1,000, 4 writers: scores", 0.4},
	} {
		v, err := found.get(r.bench, "store-ops/s", "pebble-ops/s", "ratio")
		if err != nil {
			return err
		}
		b.row(row{
			what: r.what, ours: rate(v[0]), yardstick: rate(v[1]) + " bare Pebble",
			ratio: v[2], target: atLeast(v[2], r.least),
		})
	}
	for _, style := range []string{"competition", "dense"} {
		v, err := found.get("Rank", style+"-ns", "ordinal-ns", style+"-ratio")
		if err != nil {
			return err
		}
		b.row(row{
			what: fmt.Sprintf("a %s rank, at %s", style, members(b.size.members)),
			ours: fmt.Sprintf("%.0f ns", v[0]), yardstick: fmt.Sprintf("%.0f ns an ordinal one", v[1]),
			ratio: v[2], target: atMost(v[2], 2, ""),
		})
	}
	return nil
}

// Package importer reads entries from where they are kept elsewhere: lines of
// JSON, tables in CSV, sorted sets in Redis. Each source is an iterator that
// holds as little of it as it can, and gives entries as lines of JSON, as the
// import of a server takes them.
package importer

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
)

// Entry is an entry and where it was found.
type Entry struct {
	Line int    // of the source, counted from 1; of a ZSET, its place from the side where reading began
	JSON []byte // without line breaks; valid until the next one is asked for
}

// maxLine is the most bytes in a line of JSON; a server takes fewer.
const maxLine = 1 << 20

const bom = "\ufeff" // which some programs put before UTF-8

// NDJSON reads a JSON object from each line. Blank lines are passed over. What is
// in the objects is left to the server.
func NDJSON(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 64<<10), maxLine)
		n := 0
		for lines.Scan() {
			n++
			text := lines.Bytes()
			if n == 1 {
				text = bytes.TrimPrefix(text, []byte(bom))
			}
			if text = bytes.TrimSpace(text); len(text) > 0 && !yield(Entry{n, text}, nil) {
				return
			}
		}
		if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
			yield(Entry{}, fmt.Errorf("line %d has more than %d bytes", n+1, maxLine))
		} else if err != nil {
			yield(Entry{}, err)
		}
	}
}

// Columns are those of a table in CSV.
var Columns = []string{"member", "score", "data"}

// CSV reads an entry from each record of a table (RFC 4180). If the first one
// names the columns member and score, and perhaps data, in any order and case, they
// are taken by these names, else in that order. The field of data is a JSON object,
// or empty.
func CSV(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		in := bufio.NewReader(r)
		if start, err := in.Peek(len(bom)); err == nil && string(start) == bom {
			_, _ = in.Discard(len(bom)) // which is in the buffer
		}
		records := csv.NewReader(in)
		records.FieldsPerRecord = -1
		records.ReuseRecord = true
		columns := Columns
		var text []byte
		for first := true; ; first = false {
			record, err := records.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Entry{}, err) // it says the line
				return
			}
			line, _ := records.FieldPos(0)
			if first {
				named, err := header(record)
				if err != nil {
					yield(Entry{}, fmt.Errorf("line %d: %w", line, err))
					return
				}
				if named != nil {
					columns = named
					continue
				}
			}
			if text, err = appendRecord(text[:0], columns, record); err != nil {
				yield(Entry{}, fmt.Errorf("line %d: %w", line, err))
				return
			}
			if !yield(Entry{line, text}, nil) {
				return
			}
		}
	}
}

// header returns the columns that a record names, or nil if it is an entry.
func header(record []string) ([]string, error) {
	names := make([]string, len(record))
	for i, field := range record {
		names[i] = strings.ToLower(strings.TrimSpace(field))
	}
	if !slices.Contains(names, "member") || !slices.Contains(names, "score") {
		return nil, nil
	}
	for i, name := range names {
		if !slices.Contains(Columns, name) {
			return nil, fmt.Errorf("there is a column %q; known are member, score and data", record[i])
		}
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("there are two columns %q", name)
		}
	}
	return names, nil
}

func appendRecord(to []byte, columns, record []string) ([]byte, error) {
	if len(record) > len(columns) || len(record) < 2 {
		return nil, fmt.Errorf("there are %d fields, not member, score and perhaps data", len(record))
	}
	var member, score, data string
	for i, field := range record {
		switch columns[i] {
		case "member":
			member = field
		case "score":
			score = strings.TrimSpace(field)
		case "data":
			data = strings.TrimSpace(field)
		}
	}
	return appendEntry(to, member, score, data)
}

// appendEntry appends an entry as JSON. A score that is no number would make
// something else of the line, so it is refused here.
func appendEntry(to []byte, member, score, data string) ([]byte, error) {
	if score == "" || !strings.ContainsAny(score[len(score)-1:], "0123456789") || !json.Valid([]byte(score)) {
		return nil, fmt.Errorf("score %.40q is not a decimal number such as 12 or -0.25", score)
	}
	name, err := json.Marshal(member)
	if err != nil {
		return nil, err
	}
	to = append(append(to, `{"member":`...), name...)
	to = append(append(to, `,"score":`...), score...)
	if data != "" {
		compact := new(bytes.Buffer)
		if err := json.Compact(compact, []byte(data)); err != nil || compact.Bytes()[0] != '{' {
			return nil, fmt.Errorf("data %.40q is not a JSON object", data)
		}
		to = append(append(to, `,"data":`...), compact.Bytes()...)
	}
	return append(to, '}'), nil
}

package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// FileName is the name of the key file in the data directory.
const FileName = "api-keys.json"

// keyFile is what is kept. Names are for the operator who looks into it.
type keyFile struct {
	Format int         `json:"format"`
	Keys   []storedKey `json:"keys"`
}

type storedKey struct {
	SHA256    string    `json:"sha256"` // of the whole key, as hex
	CreatedAt time.Time `json:"created_at"`
}

const format = 1

// Keeper keeps one text for as long as what it guards.
type Keeper interface {
	// Keep returns what is kept. If that is nothing, it keeps first, and
	// returns it when it is durable.
	Keep(ctx context.Context, first []byte) (kept []byte, err error)

	// String says where, for people.
	String() string
}

// Ensure returns the keys that this process accepts.
//
// With a given key that one alone counts. Without, those that the keeper has do;
// and if it has none yet, a key is made, its hash is kept, and the key itself is
// returned as made: this is the only time that anybody sees it. Without a keeper
// a made key lasts as long as the process.
func Ensure(ctx context.Context, keeper Keeper, given string) (keys *Keys, made string, err error) {
	if given != "" {
		if err := Check(given); err != nil {
			return nil, "", err
		}
		return NewKeys(given), "", nil
	}
	made = NewKey()
	if keeper == nil {
		return NewKeys(made), made, nil
	}
	hash := sha256.Sum256([]byte(made))
	first, err := json.MarshalIndent(keyFile{Format: format, Keys: []storedKey{{
		SHA256:    hex.EncodeToString(hash[:]),
		CreatedAt: time.Now().UTC().Truncate(time.Second),
	}}}, "", "  ")
	if err != nil {
		return nil, "", err
	}
	kept, err := keeper.Keep(ctx, append(first, '\n'))
	if err != nil {
		return nil, "", fmt.Errorf("keep the API keys in %s: %w", keeper, err)
	}
	if keys, err = parse(kept); err != nil {
		return nil, "", fmt.Errorf("%s, where the API keys are kept, is damaged: %w; restore it from a backup, or move it away and the next start makes a new key", keeper, err)
	}
	if !keys.Valid(made) {
		made = "" // others are kept
	}
	return keys, made, nil
}

func parse(text []byte) (*Keys, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var content keyFile
	if err := dec.Decode(&content); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the end of the JSON")
	}
	if content.Format != format {
		return nil, fmt.Errorf("its format is %d, this version knows %d", content.Format, format)
	}
	if len(content.Keys) == 0 {
		return nil, errors.New("it holds no key")
	}
	keys := &Keys{hashes: make([][sha256.Size]byte, len(content.Keys))}
	for i, stored := range content.Keys {
		if n, err := hex.Decode(keys.hashes[i][:], []byte(limit(stored.SHA256))); err != nil || n != sha256.Size || len(stored.SHA256) != 2*sha256.Size {
			return nil, fmt.Errorf("the hash of key %d is not a SHA-256", i+1)
		}
	}
	return keys, nil
}

// limit cuts a hash to what there is room for.
func limit(s string) string { return s[:min(len(s), 2*sha256.Size)] }

// InDir keeps keys in the file [FileName] of a directory, which the caller owns:
// two processes must not start in it at once.
func InDir(dir string) Keeper { return file(filepath.Join(dir, FileName)) }

// file is the path of one.
type file string

func (f file) String() string { return "key file " + string(f) }

// Keep implements Keeper. After a crash the file is not there or whole.
func (f file) Keep(_ context.Context, first []byte) (_ []byte, err error) {
	kept, err := os.ReadFile(string(f))
	if !errors.Is(err, fs.ErrNotExist) {
		return kept, err
	}
	temporary := string(f) + ".tmp" // one left over by a crash is overwritten
	defer func() {
		if err != nil {
			_ = os.Remove(temporary) // best effort: what matters is the error that is returned
		}
	}()
	if err := writeSynced(temporary, first); err != nil {
		return nil, err
	}
	if err := os.Rename(temporary, string(f)); err != nil {
		return nil, err
	}
	return first, syncDir(filepath.Dir(string(f)))
}

func writeSynced(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

package auth

import (
	"bytes"
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

// keyFile is what is on disk. Names are for the operator who looks into it.
type keyFile struct {
	Format int         `json:"format"`
	Keys   []storedKey `json:"keys"`
}

type storedKey struct {
	SHA256    string    `json:"sha256"` // of the whole key, as hex
	CreatedAt time.Time `json:"created_at"`
}

const format = 1

// Ensure returns the keys that this process accepts.
//
// With a given key that one alone counts. Without, the keys in dir's file do; and
// if there is no such file yet, a key is made, its hash is stored, and the key
// itself is returned as made: this is the only time that anybody sees it. With
// an empty dir a made key lasts as long as the process.
//
// The caller owns dir: two processes must not start in it at once.
func Ensure(dir, given string) (keys *Keys, made string, err error) {
	if given != "" {
		if err := Check(given); err != nil {
			return nil, "", err
		}
		return NewKeys(given), "", nil
	}
	if dir == "" {
		made = NewKey()
		return NewKeys(made), made, nil
	}
	path := filepath.Join(dir, FileName)
	keys, err = read(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, "", err
	}
	made = NewKey()
	hash := sha256.Sum256([]byte(made))
	content := keyFile{Format: format, Keys: []storedKey{{
		SHA256:    hex.EncodeToString(hash[:]),
		CreatedAt: time.Now().UTC().Truncate(time.Second),
	}}}
	if err := write(path, content); err != nil {
		return nil, "", fmt.Errorf("store the new API key: %w", err)
	}
	return NewKeys(made), made, nil
}

func read(path string) (*Keys, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the API keys: %w", err)
	}
	keys, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("key file %s is damaged: %w; restore it from a backup, or move it away and the next start makes a new key", path, err)
	}
	return keys, nil
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

// write replaces the file at path as a whole: after a crash it is the old one
// or the new one, and when write returns it is the new one.
func write(path string, content keyFile) (err error) {
	text, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return err
	}
	temporary := path + ".tmp" // one left over by a crash is overwritten
	defer func() {
		if err != nil {
			_ = os.Remove(temporary) // best effort: what matters is the error that is returned
		}
	}()
	if err := writeSynced(temporary, append(text, '\n')); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
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

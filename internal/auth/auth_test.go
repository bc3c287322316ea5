package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNewKeysAreLongPlainAndDifferent(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		key := NewKey()
		if err := Check(key); err != nil {
			t.Fatalf("Check(%q) = %v", key, err)
		}
		if !strings.HasPrefix(key, "laurel_") || len(key) != len("laurel_")+52 {
			t.Fatalf("key %q does not have the expected form", key)
		}
		if seen[key] {
			t.Fatalf("key %q was made twice", key)
		}
		seen[key] = true
	}
}

func TestValidAcceptsOnlyItsKeys(t *testing.T) {
	one, two := NewKey(), NewKey()
	keys := NewKeys(one, two)
	for _, key := range []string{one, two} {
		if !keys.Valid(key) {
			t.Errorf("Valid(%q) = false", key)
		}
	}
	for _, key := range []string{"", one[:len(one)-1], one + "a", strings.ToUpper(one), " " + one, NewKey()} {
		if keys.Valid(key) {
			t.Errorf("Valid(%q) = true", key)
		}
	}
	if (&Keys{}).Valid("") {
		t.Error("no keys accept the empty key")
	}
}

func TestFirstStartMakesAKeyAndLaterOnesKeepIt(t *testing.T) {
	dir := t.TempDir()
	keys, made, err := Ensure(t.Context(), InDir(dir), "")
	if err != nil {
		t.Fatal(err)
	}
	if made == "" || !keys.Valid(made) {
		t.Fatalf("the made key %q is not valid", made)
	}
	text, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), made) || strings.Contains(string(text), made[len(keyPrefix):]) {
		t.Error("the file has the key in the clear")
	}
	info, err := os.Stat(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode = %v, want -rw-------", got)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}

	again, madeAgain, err := Ensure(t.Context(), InDir(dir), "")
	if err != nil {
		t.Fatal(err)
	}
	if madeAgain != "" {
		t.Error("the second start made a key")
	}
	if !again.Valid(made) || again.Valid(NewKey()) {
		t.Error("the second start does not accept just the first one's key")
	}
}

func TestAGivenKeyStandsAlone(t *testing.T) {
	dir := t.TempDir()
	_, made, err := Ensure(t.Context(), InDir(dir), "")
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	const given = "operators-own-key"
	keys, madeNow, err := Ensure(t.Context(), InDir(dir), given)
	if err != nil {
		t.Fatal(err)
	}
	if madeNow != "" || !keys.Valid(given) || keys.Valid(made) {
		t.Errorf("made %q, given valid %v, stored valid %v; want none, true, false", madeNow, keys.Valid(given), keys.Valid(made))
	}
	after, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Error("a given key changed the file")
	}
}

func TestWithoutADirectoryAKeyLastsForTheProcess(t *testing.T) {
	keys, made, err := Ensure(t.Context(), nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if made == "" || !keys.Valid(made) {
		t.Errorf("the made key %q is not valid", made)
	}
}

func TestCheckRefusesWhatCannotBeAKey(t *testing.T) {
	for _, test := range []struct{ key, want string }{
		{"", "empty"},
		{"short", "at least 16"},
		{"a key with spaces in it", "space"},
		{"a-key-with-a-newline\n", "line break"},
		{"ключключключключ", "ASCII"},
		{strings.Repeat("k", 513), "at most 512"},
	} {
		err := Check(test.key)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Check(%q) = %v, want it to mention %q", test.key, err, test.want)
		}
		if err != nil && test.key != "" && strings.Contains(err.Error(), test.key) {
			t.Errorf("Check(%q) repeats the key: %v", test.key, err)
		}
	}
	if _, _, err := Ensure(t.Context(), nil, "short"); err == nil {
		t.Error("Ensure accepts a short key")
	}
}

func TestADamagedFileStopsTheStart(t *testing.T) {
	hash := sha256.Sum256([]byte("some key of somebody"))
	good := hex.EncodeToString(hash[:])
	file := func(format int, hash string) string {
		return fmt.Sprintf(`{"format":%d,"keys":[{"sha256":%q,"created_at":"2026-11-24T09:00:00Z"}]}`, format, hash)
	}
	if _, err := parse([]byte(file(1, good))); err != nil {
		t.Fatalf("the undamaged file: %v", err)
	}
	for name, text := range map[string]string{
		"empty":          "",
		"cut":            file(1, good)[:40],
		"no keys":        `{"format":1,"keys":[]}`,
		"other format":   file(2, good),
		"short hash":     file(1, good[:62]),
		"long hash":      file(1, good+"00"),
		"not hex":        file(1, strings.Repeat("z", 64)),
		"odd":            file(1, good[:63]),
		"unknown field":  `{"format":1,"keys":[],"admin":true}`,
		"something more": file(1, good) + "x",
		"zeros":          strings.Repeat("\x00", 100),
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, FileName)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		keys, made, err := Ensure(t.Context(), InDir(dir), "")
		if err == nil || keys != nil || made != "" {
			t.Errorf("%s: Ensure = %v, %q, %v; want an error", name, keys, made, err)
			continue
		}
		if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "restore it from a backup") {
			t.Errorf("%s: %v names neither the file nor a way out", name, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%s: the damaged file was changed", name)
		}
	}
}

func TestAnUnwritableDirectoryIsAnError(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	keys, made, err := Ensure(t.Context(), InDir(missing), "")
	if err == nil || keys != nil || made != "" {
		t.Fatalf("Ensure = %v, %q, %v; want an error", keys, made, err)
	}
	if !strings.Contains(err.Error(), missing) {
		t.Errorf("%v does not name the directory", err)
	}
}

// Package auth decides who may write: it makes API keys, keeps what is needed
// to recognise them, and checks the one that a request brings.
//
// A key is 32 random bytes, so a plain SHA-256 of it cannot be searched for, and
// only that is kept, beside what it guards: in a file in the data directory, or
// in the Redis that nodes share. An operator may name a key instead; then that
// one alone is valid for as long as the process lives, and what is kept is
// neither read nor written.
package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

const (
	// MinKeyLength is how many characters a key of the operator's own must have.
	MinKeyLength = 16

	maxKeyLength = 512
	keyPrefix    = "laurel_"
)

var keyText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewKey makes a key. It consists of letters, digits and an underscore, so that
// it can be selected by a double click and put into a header as it is.
func NewKey() string {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails: without randomness the process ends
	return keyPrefix + keyText.EncodeToString(secret[:])
}

// Keys recognises valid keys. It does not change, so its methods are safe for
// concurrent use.
type Keys struct {
	hashes [][sha256.Size]byte
}

// NewKeys returns the keys that are valid, for one who has them in the clear.
func NewKeys(keys ...string) *Keys {
	k := &Keys{}
	for _, key := range keys {
		k.hashes = append(k.hashes, sha256.Sum256([]byte(key)))
	}
	return k
}

// Valid reports whether key is one of the keys. The time it takes says nothing
// about how near to one it is.
func (k *Keys) Valid(key string) bool {
	got := sha256.Sum256([]byte(key))
	found := 0
	for i := range k.hashes {
		found |= subtle.ConstantTimeCompare(got[:], k.hashes[i][:])
	}
	return found == 1
}

// Check reports why a key that an operator chose cannot be used; the error does
// not repeat the key.
func Check(key string) error {
	switch {
	case key == "":
		return errors.New("the API key is empty")
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("the API key has a space, a line break or a character beyond ASCII, which cannot travel in a header")
	case len(key) < MinKeyLength:
		return fmt.Errorf("the API key has %d characters, at least %d are needed; %q makes a good one", len(key), MinKeyLength, "openssl rand -hex 32")
	case len(key) > maxKeyLength:
		return fmt.Errorf("the API key has %d characters, at most %d are allowed", len(key), maxKeyLength)
	}
	return nil
}

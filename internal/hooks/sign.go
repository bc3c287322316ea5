package hooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const signatureHeader = "Laurel-Signature"

// sign returns what the header says of a body that is sent now: the time in seconds
// since 1970, and for each secret the HMAC-SHA256 of that time, a full stop and the
// body.
func sign(now time.Time, body []byte, secrets []string) string {
	t := strconv.FormatInt(now.Unix(), 10)
	var header strings.Builder
	header.WriteString("t=" + t)
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(t + "."))
		mac.Write(body)
		header.WriteString(",v1=" + hex.EncodeToString(mac.Sum(nil)))
	}
	return header.String()
}

// plain takes the address out of an error of the HTTP client: it may have a
// password in it, and the log has the hook's name.
func plain(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

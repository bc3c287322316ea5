package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The kinds of events that a server tells by its hooks.
const (
	HookNewLeader    = "new_leader"
	HookRecordBeaten = "record_beaten"
	HookSeasonEnded  = "season_ended"
)

// HookTolerance is how old a delivery may be that [ReadHook] takes, or how far the
// two clocks may differ.
const HookTolerance = 5 * time.Minute

// maxHook is the most bytes in the body of a delivery.
const maxHook = 16 << 20

// HookEvent is a delivery of an event by a hook. It may come more than once:
// the Delivery is the same then.
type HookEvent struct {
	ID       string        `json:"id"`       // of the event
	Delivery string        `json:"delivery"` // of this delivery; an ended season has one for each page of its standing
	Event    string        `json:"event"`
	Board    string        `json:"board"`
	Season   int           `json:"season"`
	Rev      uint64        `json:"rev"`      // of the board, when the event was noticed; 0 of an ended season
	At       time.Time     `json:"at"`       // when the event was recorded
	EndedAt  time.Time     `json:"ended_at"` // of an ended season, if it is known
	FinalAt  time.Time     `json:"final_at"` // of an ended season that took late scores: when its standing became final
	Leader   *HookPlace    `json:"leader"`   // of HookNewLeader
	Record   *HookPlace    `json:"record"`   // of HookRecordBeaten
	Previous *HookPlace    `json:"previous"` // leader or record
	Standing *HookStanding `json:"standing"` // of HookSeasonEnded
}

// HookPlace is a member with a score.
type HookPlace struct {
	Rank   int             `json:"rank"`   // in a standing
	Member string          `json:"member"` // empty for a previous record: the server does not keep who held it
	Score  Score           `json:"score"`  // empty for a previous leader who is not near the top any more
	Season int             `json:"season"` // of a record
	Data   json.RawMessage `json:"data"`
}

// HookStanding is a page of the standing at the end of a season.
type HookStanding struct {
	Page    int         `json:"page"` // 1-based
	Pages   int         `json:"pages"`
	Total   int         `json:"total"` // members of the season
	Entries []HookPlace `json:"entries"`
	Gone    bool        `json:"gone"` // the server does not have it any more
}

// ErrHookSignature is behind the error of a delivery that is not signed with one of
// the secrets, or not recently.
var ErrHookSignature = errors.New("the signature of the delivery is not valid")

// VerifyHook checks the Laurel-Signature header of a delivery with a body: it must
// have been signed with one of the secrets, and no longer than tolerance ago by the
// clock of this machine, so that nobody can send it again later. If not, the error
// has [ErrHookSignature] behind it.
func VerifyHook(signature string, body []byte, tolerance time.Duration, secrets ...string) error {
	var stamp string
	var given [][]byte
	for part := range strings.SplitSeq(signature, ",") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "t":
			stamp = value
		case "v1":
			if mac, err := hex.DecodeString(value); err == nil {
				given = append(given, mac)
			}
		}
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || len(given) == 0 {
		return fmt.Errorf("%w: the header %q is not like t=1764000000,v1=…", ErrHookSignature, signature)
	}
	if age := time.Since(time.Unix(seconds, 0)); age.Abs() > tolerance {
		return fmt.Errorf("%w: it is %v old", ErrHookSignature, age.Round(time.Second))
	}
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(stamp + "."))
		mac.Write(body)
		want := mac.Sum(nil)
		for _, mac := range given {
			if secret != "" && hmac.Equal(mac, want) {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: no secret fits", ErrHookSignature)
}

// ReadHook reads a delivery from a request, after it has verified the signature
// with one of the secrets and [HookTolerance].
func ReadHook(r *http.Request, secrets ...string) (HookEvent, error) {
	var e HookEvent
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxHook))
	if err != nil {
		return e, fmt.Errorf("read the delivery: %w", err)
	}
	if err := VerifyHook(r.Header.Get("Laurel-Signature"), body, HookTolerance, secrets...); err != nil {
		return e, err
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return e, fmt.Errorf("read the delivery: %w", err)
	}
	return e, nil
}

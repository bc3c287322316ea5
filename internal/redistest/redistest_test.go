package redistest_test

import (
	"testing"

	"github.com/redis/rueidis"

	"laurel/internal/redistest"
)

func TestServerKeepsItsDataOrNot(t *testing.T) {
	s := redistest.Start(t, redistest.AppendOnly(), redistest.Password("sésame / open"))
	set := func() {
		c := s.Client(t)
		if err := c.Do(t.Context(), c.B().Set().Key("k").Value("v").Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	get := func() (string, error) {
		c := s.Client(t)
		return c.Do(t.Context(), c.B().Get().Key("k").Build()).ToString()
	}
	set()
	s.Restart(t)
	if got, err := get(); got != "v" || err != nil {
		t.Errorf("after a restart k = %q, %v; want v", got, err)
	}
	s.RestartEmpty(t)
	if got, err := get(); !rueidis.IsRedisNil(err) {
		t.Errorf("after an empty restart k = %q, %v; want nothing", got, err)
	}
}

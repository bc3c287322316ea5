package sim

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"strings"
)

// member is one of those who play. Everything about it follows from the seed of
// the world and its number.
type member struct {
	id    string
	name  string  // shown in its place, if not empty
	skill float64 // 0 to 1, most in the middle
}

func newMember(seed uint64, n int) member {
	rng := rand.New(rand.NewPCG(seed, memberStream+uint64(n)))
	m := member{
		id:    word(rng, scripts[0]) + "-" + strconv.Itoa(n),
		skill: (rng.Float64() + rng.Float64() + rng.Float64()) / 3,
	}
	if rng.IntN(5) < 3 {
		m.name = displayName(rng)
	}
	return m
}

func (m member) data() json.RawMessage {
	if m.name == "" {
		return nil
	}
	data, err := json.Marshal(struct {
		Name string `json:"name"`
	}{m.name})
	if err != nil {
		panic("sim: " + err.Error()) // strings can always be written
	}
	return data
}

// script is a way of writing, as syllables from which words are made.
type script struct {
	syllables string // separated by spaces
	capital   bool   // has capital letters
}

// scripts begin with the plain one of which ids are made. The others are there
// because a page that shows names meets them: letters with marks, letters that
// join, letters that run from right to left, wide ones.
var scripts = []script{
	{"ka ri to mi lo ven dar sol bri nu fe zan pol ta gi rem os qui lu yar be ston wi", true},
	{"bjø kå rä mö zü ñe çi šo łu że éa îl ør vă ğı", true},
	{"ка ри то ми ло вен дар сол бре ну жи ща чё ют", true},
	{"κα ρι το μι λο φε ψα ξη θω νυ ζε", true},
	{"კა რი ტო მი ლო ვე ნუ ზა ჟო", false},
	{"קא רי טו מי לו שן גל נו", false},
	{"كا ري تو مي لو شا نو زي", false},
	{"का रि तो मी लो वे नु शा", false},
	{"กา ริ โต มี โล เว นุ ซา", false},
	{"카 리 토 미 로 벤 누 소 하", false},
	{"カ リ ト ミ ロ ベ ヌ ソ ハ ン", false},
	{"木 月 风 星 雨 石 云 山 川 林", false},
}

func word(rng *rand.Rand, s script) string {
	syllables := strings.Fields(s.syllables)
	var b strings.Builder
	for range 2 + rng.IntN(2) {
		b.WriteString(syllables[rng.IntN(len(syllables))])
	}
	return b.String()
}

func displayName(rng *rand.Rand) string {
	s := scripts[0]
	if rng.IntN(2) == 0 {
		s = scripts[1+rng.IntN(len(scripts)-1)]
	}
	name := word(rng, s)
	if s.capital {
		first, rest := split(name)
		name = strings.ToUpper(first) + rest
	}
	switch rng.IntN(8) {
	case 0:
		name += " " + decorations[rng.IntN(len(decorations))]
	case 1:
		name += strconv.Itoa(rng.IntN(100))
	}
	return name
}

// decorations are more than one code point, some of them joined to one picture.
var decorations = []string{"🦊", "⚡️", "🏎️", "🧑‍🚀", "👩🏽‍🎤", "🏴‍☠️", "♟️"}

func split(s string) (first, rest string) {
	for i := range s {
		if i > 0 {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"html"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"laurel/internal/leaderboard"
)

// document is the served OpenAPI document, as somebody reads it who knows
// nothing of this package.
type document struct {
	OpenAPI string
	Info    struct{ Title, Version, Description string }
	Paths   map[string]map[string]struct {
		OperationID string
		Summary     string
		Parameters  []struct {
			Name, In    string
			Required    bool
			Description string
			Schema      map[string]any
		}
		RequestBody *struct {
			Required bool
			Content  map[string]struct {
				Schema  map[string]any
				Example json.RawMessage
			}
		}
		Responses map[string]struct {
			Description string
			Content     map[string]struct{ Schema map[string]any }
		}
		Security []map[string][]string
	}
	Components struct {
		Schemas         map[string]map[string]any
		SecuritySchemes map[string]any
	}
}

func TestTheDocumentIsTheTable(t *testing.T) {
	s := newServer(t, func(o *Options) { o.Metrics = http.NotFoundHandler() })
	got := s.must("GET", "/openapi.json", "")
	if mediaType := got.header.Get("Content-Type"); mediaType != "application/json" {
		t.Errorf("Content-Type %q", mediaType)
	}
	doc := decode[document](t, got)
	if doc.OpenAPI != "3.1.0" || doc.Info.Title != "Laurel" || doc.Info.Version != "test" || doc.Info.Description == "" {
		t.Errorf("openapi %s, info %+v", doc.OpenAPI, doc.Info)
	}

	table := routes()
	operations := 0
	ids := map[string]bool{}
	for _, item := range doc.Paths {
		operations += len(item)
	}
	if operations != len(table) {
		t.Errorf("%d operations for %d routes", operations, len(table))
	}
	for _, r := range table {
		what := r.method + " " + r.path
		op, ok := doc.Paths[r.path][strings.ToLower(r.method)]
		if !ok {
			t.Errorf("%s is not in the document", what)
			continue
		}
		if op.OperationID == "" || ids[op.OperationID] || op.Summary == "" {
			t.Errorf("%s: operationId %q, summary %q", what, op.OperationID, op.Summary)
		}
		ids[op.OperationID] = true
		if (len(op.Security) > 0) != r.write {
			t.Errorf("%s: security %v", what, op.Security)
		}
		for _, alternative := range op.Security {
			for name := range alternative {
				if doc.Components.SecuritySchemes[name] == nil {
					t.Errorf("%s: there is no security scheme %s", what, name)
				}
			}
		}
		var query, path []string
		for _, p := range op.Parameters {
			if p.Description == "" || p.Schema["type"] == nil {
				t.Errorf("%s: parameter %s is not described", what, p.Name)
			}
			switch p.In {
			case "query":
				query = append(query, p.Name)
			case "path":
				path = append(path, "{"+p.Name+"}")
				if !p.Required {
					t.Errorf("%s: %s is not required", what, p.Name)
				}
			}
			if p.Name == "limit" && p.Schema["default"] != float64(r.limit) {
				t.Errorf("%s: limit has the default %v, want %d", what, p.Schema["default"], r.limit)
			}
		}
		if !slices.Equal(query, r.query) {
			t.Errorf("%s: parameters %q, want %q", what, query, r.query)
		}
		if want := regexp.MustCompile(`\{[a-z]+\}`).FindAllString(r.path, -1); !slices.Equal(path, want) {
			t.Errorf("%s: path parameters %q, want %q", what, path, want)
		}
		if (op.RequestBody != nil) != (r.body != nil) || r.body != nil && (!op.RequestBody.Required || op.RequestBody.Content[cmp.Or(r.bodyType, contentJSON)].Schema == nil) {
			t.Errorf("%s: request body %+v", what, op.RequestBody)
		}
		success, ok := op.Responses[strconv.Itoa(r.status)]
		if !ok || success.Description == "" || (len(success.Content) > 0) != (r.status != http.StatusNoContent) {
			t.Errorf("%s: response %d is %+v", what, r.status, success)
		}
		for _, code := range r.problems() {
			status := strconv.Itoa(statusOf[code])
			if response := op.Responses[status]; !strings.Contains(response.Description, "`"+string(code)+"`") || response.Content["application/problem+json"].Schema == nil {
				t.Errorf("%s: %s does not tell of %s", what, status, code)
			}
		}
	}

	var everything any
	if err := json.Unmarshal([]byte(got.body), &everything); err != nil {
		t.Fatal(err)
	}
	references := 0
	walk(everything, func(name string, value any) {
		if name != "$ref" {
			return
		}
		references++
		target, ok := strings.CutPrefix(value.(string), "#/components/schemas/")
		if !ok || doc.Components.Schemas[target] == nil {
			t.Errorf("%v refers to nothing", value)
		}
	})
	if references < 20 {
		t.Errorf("only %d references", references)
	}
	for name, schema := range doc.Components.Schemas {
		properties, _ := schema["properties"].(map[string]any)
		if len(properties) == 0 {
			t.Errorf("schema %s has no properties", name)
		}
		closed := schema["additionalProperties"] == false
		request := slices.Contains([]string{"NewBoard", "BoardPatch", "Submission", "ImportLine", "Batch", "NewScore", "BoardSubmission", "BoardScore", "AcrossBatch", "MemberBatch", "Lookup", "EndSeason"}, name)
		if closed != request {
			t.Errorf("schema %s is closed: %v", name, closed)
		}
	}
}

func walk(value any, visit func(name string, value any)) {
	switch v := value.(type) {
	case map[string]any:
		for name, field := range v {
			visit(name, field)
			walk(field, visit)
		}
	case []any:
		for _, element := range v {
			walk(element, visit)
		}
	}
}

// schemas validates values against the document's schemas.
type schemas struct {
	doc *huma.OpenAPI
}

func newSchemas() schemas { return schemas{newDocument(routes(), "test")} }

func (s schemas) check(t *testing.T, what string, schema *huma.Schema, text []byte) {
	t.Helper()
	for _, err := range s.errors(t, schema, text) {
		t.Errorf("%s: %v: %s", what, err, clip(string(text)))
	}
}

func (s schemas) errors(t *testing.T, schema *huma.Schema, text []byte) []error {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var result huma.ValidateResult
	huma.Validate(s.doc.Components.Schemas, schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, value, &result)
	return result.Errors
}

// response returns the schema of what a route answers with a status.
func (s schemas) response(t *testing.T, r *route, status int, mediaType string) *huma.Schema {
	t.Helper()
	item := s.doc.Paths[r.path]
	op := map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete}[r.method]
	response := op.Responses[strconv.Itoa(status)]
	if response == nil || response.Content[mediaType] == nil {
		t.Errorf("%s %s: the document does not know %d with %s", r.method, r.path, status, mediaType)
		return nil
	}
	return response.Content[mediaType].Schema
}

// TestAnswersMatchTheDocument sends requests to a real server and validates
// each answer against the schema that the document has for it.
func TestAnswersMatchTheDocument(t *testing.T) {
	s := newServer(t)
	document := newSchemas()
	covered := map[string]bool{}
	for _, r := range s.api.router.all() {
		if r.example != "" { // makes the board and its entries first
			covered[r.id] = true
			document.request(t, r)
		}
	}
	s.must("POST", "/v1/leaderboards", `{"id":"b","decimals":1}`)
	for _, request := range []string{
		`POST /v1/leaderboards {"id":"race","order":"asc"}`,
		`POST /v1/leaderboards {"id":"race"}`,
		`POST /v1/leaderboards {"id":5}`,
		`POST /v1/leaderboards/b/scores {"submissions":[{"member":"a","score":1.5,"data":{"x":[1]}},{"member":"c","score":-2}]}`,
		`POST /v1/leaderboards/b/scores {"member":"d","score":0}`,
		`POST /v1/leaderboards/b/scores {"submissions":[{"member":"a","score":null}]}`,
		`POST /v1/leaderboards/b/scores {"submissions":[]}`,
		`POST /v1/leaderboards/b/import {"member":"e","score":3}`,
		`POST /v1/leaderboards/b/import {"member":"e","score":0.25}`,
		`PATCH /v1/leaderboards/b {"policy":"best"}`,
		`PATCH /v1/leaderboards/b {"order":"asc"}`,
		`PATCH /v1/leaderboards/no {"top":5}`,
		`POST /v1/leaderboards/b/scores {"member":"a","score":-100}`,
		`PUT /v1/leaderboards/b/entries/a {"score":99.9}`,
		`PUT /v1/leaderboards/b/entries/a {"score":0.25}`,
		`POST /v1/leaderboards/b/seasons {}`,
		`POST /v1/leaderboards/b/seasons {"season":1}`,
		`POST /v1/leaderboards/b/seasons {"season":9}`,
		`GET /v1/leaderboards/b/seasons`,
		`GET /v1/leaderboards/no/seasons`,
		`GET /v1/leaderboards/b?season=1`,
		`GET /v1/leaderboards/b/entries?season=1`,
		`PATCH /v1/leaderboards/b {"seasons":{"cron":"@daily"}}`,
		`POST /v1/leaderboards/b/scores?season=1 {"member":"a","score":1}`,
		`PUT /v1/leaderboards/b/entries/a?season=1 {"score":1}`,
		`DELETE /v1/leaderboards/b/entries/a?season=1`,
		`POST /v1/leaderboards/b/scores {"submissions":[{"member":"a","score":1.5},{"member":"c","score":-2},{"member":"d","score":0}]}`,
		`GET /v1/leaderboards?limit=1`,
		`GET /v1/leaderboards?limit=0`,
		`GET /v1/leaderboards/b`,
		`GET /v1/leaderboards/no`,
		`GET /v1/leaderboards/b/entries?limit=2`,
		`GET /v1/leaderboards/b/entries?cursor=x`,
		`GET /v1/leaderboards/b/entries?around_score=1.5&limit=1`,
		`GET /v1/leaderboards/b/entries?around_score=1.55`,
		`GET /v1/leaderboards/b/entries?around_score=1e15`,
		`GET /v1/leaderboards/b/entries?around_score=x`,
		`GET /v1/leaderboards/b/entries?top_percent=33.3&limit=1`,
		`GET /v1/leaderboards/b/entries?x=x`,
		`GET /v1/leaderboards/b/entries/a`,
		`GET /v1/leaderboards/b/entries/d`,
		`GET /v1/leaderboards/b/entries/no`,
		`GET /v1/leaderboards/b/entries/%00`,
		`GET /v1/leaderboards/b/entries/a/around?limit=2`,
		`GET /v1/leaderboards/b/entries/a/around?season=3`,
		`GET /v1/members/a`,
		`GET /v1/members/nobody?limit=1`,
		`GET /v1/members/a?limit=0`,
		`GET /v1/members/%00`,
		`GET /v1/members/a?cursor=x`,
		`POST /v1/leaderboards/b/entries/lookup {"members":["d","no","a","d"]}`,
		`POST /v1/leaderboards/b/entries/lookup?season=2 {"members":["a"]}`,
		`POST /v1/leaderboards/b/entries/lookup {"members":[]}`,
		`POST /v1/leaderboards/b/entries/lookup {"members":["a",""]}`,
		`POST /v1/leaderboards/no/entries/lookup {"members":["a"]}`,
		`DELETE /v1/leaderboards/b/entries/a`,
		`DELETE /v1/leaderboards/b/entries/a`,
		`DELETE /v1/leaderboards/b`,
		`DELETE /v1/leaderboards/b`,
		`GET /healthz`,
		`GET /readyz`,
		`GET /openapi.json`,
		`GET /docs`,
		`GET /docs/style.css`,
		`CLOSE`, // the store
		`GET /readyz`,
		`GET /v1/leaderboards`,
		`PUT /v1/leaderboards/b/entries/a {"score":1}`,
	} {
		method, rest, _ := strings.Cut(request, " ")
		path, body, _ := strings.Cut(rest, " ")
		if method == "CLOSE" {
			if err := s.store.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		bare, _, _ := strings.Cut(path, "?")
		r := s.api.router.match(bare).node.route(method)
		got := s.send(method, path, body, "Content-Type", cmp.Or(r.bodyType, contentJSON))
		covered[r.id] = true
		if got.status == http.StatusNoContent {
			continue
		}
		mediaType, _, _ := strings.Cut(got.header.Get("Content-Type"), ";")
		schema := document.response(t, r, got.status, mediaType)
		if schema == nil {
			continue // no JSON, or unknown and reported
		}
		document.check(t, request, schema, []byte(got.body))
		for _, damaged := range []string{`{"surprise":1,` + got.body[1:], `{}`} { // the check can fail
			if len(document.errors(t, schema, []byte(damaged))) == 0 {
				t.Errorf("%s: the schema takes %s", request, clip(damaged))
			}
		}
		if mediaType == "application/problem+json" {
			if code := decode[problem](t, got).Code; !slices.Contains(r.problems(), leaderboard.Code(code)) {
				t.Errorf("%s: the document does not say that it may answer %s", request, code)
			}
		}
	}
	for _, r := range routes() {
		if !covered[r.id] && r.path != metricsPath {
			t.Errorf("%s %s is not asked", r.method, r.path)
		}
	}
}

// all returns the routes in no order.
func (rt *router) all() []*route {
	var all []*route
	for _, nodes := range rt.bySegments {
		for _, n := range nodes {
			all = append(all, n.routes...)
		}
	}
	return all
}

// request checks the example of a route's body: it matches the schema, and the
// server understands it.
func (s schemas) request(t *testing.T, r *route) {
	t.Helper()
	item := s.doc.Paths[r.path]
	op := map[string]*huma.Operation{"POST": item.Post, "PUT": item.Put, "PATCH": item.Patch}[r.method]
	s.check(t, "example of "+r.id, op.RequestBody.Content[cmp.Or(r.bodyType, contentJSON)].Schema, []byte(r.example))
	server := newServer(t)
	for _, board := range []string{"b", "goals", "assists", "daily", "all-time"} { // those of the examples that create none
		server.must("POST", "/v1/leaderboards", `{"id":"`+board+`"}`)
	}
	if got := server.send(r.method, concrete(r.path), r.example, "Content-Type", cmp.Or(r.bodyType, contentJSON)); got.status != r.status {
		t.Errorf("example of %s: %d %s", r.id, got.status, got.body)
	}
}

// TestEveryDescribedFieldIsRead sends each field of each request's schema with
// each value that the schema lists or that its bounds allow.
func TestEveryDescribedFieldIsRead(t *testing.T) {
	registry := newDocument(routes(), "test").Components.Schemas
	base := map[string]map[string]any{
		"NewBoard":   {"id": "x"},
		"BoardPatch": {},
		"Submission": {"member": "a", "score": 1},
		"NewScore":   {"score": 1},
	}
	target := map[string]string{
		"NewBoard": "POST /v1/leaderboards", "BoardPatch": "PATCH /v1/leaderboards/b",
		"Submission": "POST /v1/leaderboards/b/scores", "NewScore": "PUT /v1/leaderboards/b/entries/a",
	}
	for name, minimal := range base {
		schema := registry.Map()[name]
		if schema == nil {
			t.Fatalf("there is no schema %s", name)
		}
		for _, required := range schema.Required {
			if _, ok := minimal[required]; !ok {
				t.Errorf("%s requires %s", name, required)
			}
		}
		for property, p := range schema.Properties {
			for _, value := range valuesOf(p) {
				body := map[string]any{property: value}
				for k, v := range minimal {
					if _, ok := body[k]; !ok {
						body[k] = v
					}
				}
				text, err := json.Marshal(body)
				if err != nil {
					t.Fatal(err)
				}
				s := newServer(t)
				s.must("POST", "/v1/leaderboards", `{"id":"b"}`)
				method, path, _ := strings.Cut(target[name], " ")
				got := s.send(method, path, string(text))
				fixed := name == "BoardPatch" && got.status == http.StatusConflict && got.code() == string(leaderboard.CodeImmutableSetting)
				refused := property == "if_rev" && got.code() == string(leaderboard.CodeEntryChanged)
				elsewhere := property == "zset" && strings.Contains(got.body, "serve --redis") // read, and refused by this store
				if got.status > 299 && !fixed && !elsewhere && !refused {
					t.Errorf("%s %s: %d %s", name, text, got.status, got.body)
				}
				if p.Default != nil && name == "BoardPatch" {
					t.Errorf("a patch has a default for %s", property)
				}
			}
		}
	}
	board := registry.Map()["Board"]
	for property, p := range registry.Map()["NewBoard"].Properties {
		if p.Default == nil {
			continue
		}
		s := newServer(t)
		created := map[string]any{}
		if err := json.Unmarshal([]byte(s.must("POST", "/v1/leaderboards", `{"id":"b"}`).body), &created); err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(p.Default)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(created[property])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("the default of %s is %s, the document says %s", property, got, want)
		}
		if board.Properties[property] == nil {
			t.Errorf("a board does not tell its %s", property)
		}
	}
}

func valuesOf(s *huma.Schema) []any {
	switch {
	case len(s.Enum) > 0:
		return s.Enum
	case s.Type == huma.TypeInteger:
		return []any{*s.Minimum, *s.Maximum}
	case s.Type == huma.TypeNumber && s.Nullable && s.ExclusiveMinimum != nil:
		return []any{*s.ExclusiveMinimum + 1, 1e3, nil}
	case s.Type == huma.TypeNumber && s.Nullable:
		return []any{0, -7, 1e3, nil}
	case s.Type == huma.TypeNumber:
		return []any{0, -7, 1e3}
	case s.Properties["cron"] != nil:
		at := "2030-01-31T12:00:00+01:00"
		return []any{
			map[string]any{"cron": "@daily", "time_zone": "Europe/Berlin", "grace_ms": 5, "keep": 6},
			map[string]any{"every": "36h", "from": at},
			map[string]any{"starts_at": at},
			map[string]any{"ends_at": at},
			map[string]any{},
			nil,
		}
	case s.Type == huma.TypeObject:
		return []any{map[string]any{}, map[string]any{"a": map[string]any{"b": []any{1, nil}}}, nil}
	case s.MaxLength != nil:
		return []any{strings.Repeat("m", *s.MinLength), strings.Repeat("m", *s.MaxLength)}
	}
	return []any{"x1._-"}
}

// TestEveryCodeIsDocumented compares the codes with docs/protocol.md, in which
// each has a row with its status.
func TestEveryCodeIsDocumented(t *testing.T) {
	protocol := readProtocol(t)
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([0-9]{3}) \\|").FindAllStringSubmatch(protocol, -1) {
		documented[row[1]] = row[2]
	}
	for _, c := range codes {
		if documented[string(c.code)] != strconv.Itoa(c.status) {
			t.Errorf("docs/protocol.md gives %s the status %q, want %d", c.code, documented[string(c.code)], c.status)
		}
		delete(documented, string(c.code))
	}
	for code := range documented {
		t.Errorf("docs/protocol.md has a code %s that does not exist", code)
	}
}

func TestThePageShowsTheDocument(t *testing.T) {
	s := newServer(t, func(o *Options) { o.Metrics = http.NotFoundHandler() })
	got := s.must("GET", "/docs", "")
	text := html.UnescapeString(got.body)
	for _, r := range routes() {
		if !strings.Contains(text, r.path) || !strings.Contains(text, r.summary) || !strings.Contains(text, `id="`+r.id+`"`) || !strings.Contains(text, r.example) {
			t.Errorf("%s %s is not on the page", r.method, r.path)
		}
	}
	for _, c := range codes {
		if !strings.Contains(text, string(c.code)) {
			t.Errorf("%s is not on the page", c.code)
		}
	}
	policy := got.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "style-src 'self'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	for _, outside := range []string{"<script", "<style", "style=", "http://", "https://", " src="} {
		if strings.Contains(got.body, outside) {
			t.Errorf("the page has %q", outside)
		}
	}
	ids := map[string]bool{}
	for _, id := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(got.body, -1) {
		if ids[id[1]] {
			t.Errorf("id %s is there twice", id[1])
		}
		ids[id[1]] = true
	}
	for _, link := range regexp.MustCompile(` href="([^"]+)"`).FindAllStringSubmatch(got.body, -1) {
		if target, ok := strings.CutPrefix(link[1], "#"); ok {
			if !ids[target] {
				t.Errorf("a link to #%s leads nowhere", target)
			}
		} else if to := s.send("GET", link[1], ""); to.status != http.StatusOK {
			t.Errorf("%s is linked and answers %d", link[1], to.status)
		}
	}
	style := s.must("GET", "/docs/style.css", "")
	if style.header.Get("Content-Type") != "text/css; charset=utf-8" || strings.Contains(style.body, "url(") || strings.Contains(style.body, "@import") {
		t.Errorf("style: %s", style.header.Get("Content-Type"))
	}
}

// TestEveryShapeIsWrittenAsItsTagsSay encodes answers by hand and by reflection,
// with every field set and with none.
func TestEveryShapeIsWrittenAsItsTagsSay(t *testing.T) {
	data := storedData(`{"x":[1,"é"]}`)
	at := timestamp{clock}
	span := Span{at, timestamp{clock.Add(time.Hour)}, timestamp{clock.Add(2 * time.Hour)}, true}
	position := Position{Board: "b", Season: 2, Rev: 1<<53 - 1, Epoch: "e", Total: 3, Span: span}
	one := entry{Member: "a \"<&\u2028\x7f☃", Score: score{-1250, 2}, Rank: 7, Data: data, UpdatedAt: at, EntryRev: 9}
	limit := func(text string) scoreBound {
		d, err := leaderboard.ParseDecimal(text)
		if err != nil {
			t.Fatal(err)
		}
		return scoreBound{leaderboard.BoundOf(d)}
	}
	full := board{"b", "asc", "best", 6, "latest", "competition", 500, 60000, limit("-0.5"), limit("1e3"), limit("2"), 30, seasons{"0 0 * * *", "2h", at, "UTC", at, at, 5, 6}, 7, 60, "scores", at, 1, 2, "e", 3, span}
	done := result{"a", true, "not_better", nullScore{score{5, 1}, true}, 4, nullScore{score{-3, 0}, true}, 5, 9}
	for _, a := range []answer{
		full,
		board{},
		boardList{[]board{full, full}, "next"},
		boardList{Leaderboards: []board{}},
		seasonList{[]board{full, {}}},
		seasonList{Seasons: []board{}},
		outcome{[]result{done, {}}, position},
		outcome{Results: []result{}},
		acrossOutcome{[]boardResult{{"b", done}, {}}, []Position{position, {}}},
		acrossOutcome{Results: []boardResult{}, Boards: []Position{}},
		entryList{position, []entry{one, {}}, "next"},
		entryList{Entries: []entry{}},
		standing{"a", score{1, 0}, 2, 100.0 / 3, data, at, 9, position},
		standing{},
		memberList{"a \"", []standing{{"a", score{1, 0}, 2, 100.0 / 3, data, at, 9, position}, {}}, "next"},
		memberList{Entries: []standing{}},
		selection{position, []selected{{"a", score{1, 0}, 2, 1, 100.0 / 3, data, at, 9}, {}}, []string{"b", "c \""}},
		selection{Entries: []selected{}, NotFound: []string{}},
		health{"ok"},
		imported{Applied: 5, Line: 6, Done: true, Board: "b", Season: 2, Rev: 1<<53 - 1, Epoch: "e", Total: new(0)},
		imported{Applied: 5, Line: 6, Problem: &problem{Detail: "d", Line: 7}},
		imported{},
		readiness{"ready", []check{{"a", true, ""}, {"b", false, "why"}}},
		readiness{Checks: []check{}},
		problem{"about:blank", "t", 400, "d \x01\t\r\n\b\f\\", "c", "f", new(0), "m", "b", 7},
		problem{},
	} {
		var want bytes.Buffer
		encoder := json.NewEncoder(&want)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(a); err != nil {
			t.Fatal(err)
		}
		if got := string(a.appendJSON(nil)); got+"\n" != want.String() {
			t.Errorf("%T:\n got %s\nwant %s", a, got, want.String())
		}
	}
	answers := map[reflect.Type]bool{}
	for _, r := range routes() {
		answers[r.answer] = true
	}
	if len(answers) != 14 { // with noContent, and nil for what is not JSON; a new type belongs in the list above
		t.Errorf("the routes have %d types of answers", len(answers))
	}
}

func readProtocol(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

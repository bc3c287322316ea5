package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"laurel/internal/leaderboard"
)

// parameters are those of queries, by name. A route says which it knows.
func parameters() map[string]*huma.Param {
	zero, one, hundred, most := 0.0, 1.0, 100.0, float64(leaderboard.MaxLimit)
	return map[string]*huma.Param{
		"limit": {
			Description: "How many at the most.",
			Schema:      &huma.Schema{Type: huma.TypeInteger, Minimum: &one, Maximum: &most},
		},
		"offset": {
			Description: "How many to pass over from the top.",
			Schema:      &huma.Schema{Type: huma.TypeInteger, Minimum: &zero, Default: 0},
		},
		"cursor": {
			Description: "The `next_cursor` of the page before.",
			Schema:      &huma.Schema{Type: huma.TypeString},
		},
		"around_score": {
			Description: "The page has the place in its middle where this score would stand if it were reached now: behind its equals, or before them on a board where the latest stands first. It must be one that the board can keep. Not beside `offset`, `cursor` or `top_percent`.",
			Schema:      &huma.Schema{Type: huma.TypeNumber},
		},
		"top_percent": {
			Description: "The list ends behind this share of the board's entries, rounded up, exactly: of 1,001 entries 0.1 are the first 2. A cursor keeps it. Above 0, with at most 6 decimals.",
			Schema:      &huma.Schema{Type: huma.TypeNumber, ExclusiveMinimum: &zero, Maximum: &hundred},
		},
		"season": {
			Description: "`current`, or the number of a season, counted from 1. For now a board has only its first.",
			Schema:      &huma.Schema{Type: huma.TypeString, Pattern: "^(current|previous|[1-9][0-9]*)$", Default: "current"},
		},
	}
}

var pathParameters = map[string]*huma.Param{
	"board": {
		Name: "board", In: "path", Required: true, Description: "The board's id.",
		Schema: &huma.Schema{Type: huma.TypeString, Pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"},
	},
	"member": {
		Name: "member", In: "path", Required: true,
		Description: "1 to 128 bytes of UTF-8 without control characters, percent-encoded: `a/b` is `a%2Fb`, `..` is `%2E%2E`. " +
			"Browsers take `%2E` and `%2E%2E` for steps in the path, so they cannot ask for members of these two names.",
		Schema: func() *huma.Schema {
			one, most := 1, leaderboard.MaxMember
			return &huma.Schema{Type: huma.TypeString, MinLength: &one, MaxLength: &most}
		}(),
	},
}

// newDocument makes the OpenAPI document of a table. Its schemas are closed: they
// describe this version to the letter.
func newDocument(table []route, version string) *huma.OpenAPI {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	if version == "" {
		version = "unknown"
	}
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title:   "Laurel",
			Version: version,
			Description: "Scores in, ranks out. Writes need an API key, reads are public. Everything is JSON in UTF-8, times are RFC 3339 in UTC, " +
				"and an unknown field or parameter of a request is refused by its name; answers may get further fields. Every error is a problem (RFC 9457) with a stable `code`.",
		},
		Paths: map[string]*huma.PathItem{},
		Components: &huma.Components{
			Schemas: registry,
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"api_key":       {Type: "apiKey", In: "header", Name: "X-API-Key", Description: "The key as it is."},
				"authorization": {Type: "apiKey", In: "header", Name: "Authorization", Description: "The word `apikey`, a space, and the key."},
			},
		},
		Tags: []*huma.Tag{
			{Name: "Boards", Description: "Create, read, change and delete boards."},
			{Name: "Scores", Description: "Submit scores and correct entries."},
			{Name: "Entries", Description: "Read ranks."},
			{Name: "Server", Description: "Health, metrics and this document."},
		},
	}
	for i := range table {
		addOperation(doc, registry, &table[i])
	}
	return doc
}

func addOperation(doc *huma.OpenAPI, registry huma.Registry, r *route) {
	op := &huma.Operation{
		Method: r.method, Path: r.path, OperationID: r.id, Summary: r.summary, Description: r.description,
		Tags:      []string{r.tag()},
		Responses: map[string]*huma.Response{},
	}
	for segment := range strings.SplitSeq(r.path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			op.Parameters = append(op.Parameters, pathParameters[strings.TrimSuffix(name, "}")])
		}
	}
	known := parameters()
	for _, name := range r.query {
		p := known[name]
		p.Name, p.In = name, "query"
		if name == "limit" {
			p.Schema.Default = r.limit
		}
		op.Parameters = append(op.Parameters, p)
	}
	if r.conditional {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: "If-None-Match", In: "header", Schema: &huma.Schema{Type: huma.TypeString},
			Description: "The `ETag` of an earlier answer to the same request: if that would be the answer again, it is not sent.",
		})
	}
	if r.write {
		op.Security = []map[string][]string{{"api_key": {}}, {"authorization": {}}}
	}
	if r.takesKey() {
		one, most := 1, maxKey
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: keyHeader, In: "header",
			Description: "Makes the request safe to send again: within 24 hours the same request to the same board with the same key is answered as the first was, with `" + replayedHeader + ": true`, and changes nothing.",
			Schema:      &huma.Schema{Type: huma.TypeString, MinLength: &one, MaxLength: &most, Pattern: "^[ -~]+$"},
		})
	}
	if r.guards {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: ifMatch, In: "header", Schema: &huma.Schema{Type: huma.TypeString, Pattern: `^"[1-9][0-9]*"$`},
			Description: "An `entry_rev` in quotes: the write is carried out only if the entry is at it. For one entry; in a batch, each submission may have `if_rev`.",
		}, &huma.Param{
			Name: ifNoneMatch, In: "header", Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{"*"}},
			Description: "`*`: the write is carried out only if there is no entry.",
		})
	}
	if r.body != nil {
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			cmp.Or(r.bodyType, contentJSON): {Schema: registry.Schema(r.body, true, ""), Example: json.RawMessage(r.example)},
		}}
	}

	success := &huma.Response{Description: http.StatusText(r.status)}
	switch {
	case r.status == http.StatusNoContent:
	case r.answer != nil:
		success.Content = map[string]*huma.MediaType{cmp.Or(r.mediaType, contentJSON): {Schema: registry.Schema(r.answer, true, "")}}
	default:
		success.Content = map[string]*huma.MediaType{r.mediaType: {}}
	}
	if r.status == http.StatusCreated {
		success.Headers = map[string]*huma.Param{"Location": {Description: "The path of what was created.", Schema: &huma.Schema{Type: huma.TypeString}}}
	}
	if r.conditional {
		success.Headers = map[string]*huma.Param{"ETag": {Description: "Stands for this answer in `If-None-Match`.", Schema: &huma.Schema{Type: huma.TypeString}}}
		op.Responses[strconv.Itoa(http.StatusNotModified)] = &huma.Response{
			Description: http.StatusText(http.StatusNotModified), Headers: success.Headers,
		}
	}
	if r.takesKey() {
		if success.Headers == nil {
			success.Headers = map[string]*huma.Param{}
		}
		success.Headers[replayedHeader] = &huma.Param{Description: "`true` if the answer is that of an earlier request with this key.", Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{"true"}}}
	}
	op.Responses[strconv.Itoa(r.status)] = success
	if r.statusToo != 0 {
		too := *success
		too.Description = http.StatusText(r.statusToo)
		op.Responses[strconv.Itoa(r.statusToo)] = &too
	}
	addProblems(op, registry, r.problems())
	doc.AddOperation(op)
}

// tag says in which part of the document the route stands.
func (r *route) tag() string {
	switch {
	case !strings.HasPrefix(r.path, "/v1/"):
		return "Server"
	case !strings.HasPrefix(r.path, boardPath+"/"):
		return "Boards"
	case r.write:
		return "Scores"
	}
	return "Entries"
}

// problems returns the codes that the route may answer.
func (r *route) problems() []leaderboard.Code {
	if r.tag() == "Server" {
		return nil
	}
	may := slices.Clone(r.fails)
	if r.write {
		may = append(may, codeUnauthorized, leaderboard.CodeStorageUnavailable)
		if r.takesKey() {
			may = append(may, leaderboard.CodeOnceReused)
		}
		may = append(may, codeNotSupported)
	}
	if r.body != nil {
		may = append(may, codeInvalidJSON, codeUnknownField, codeBodyTooLarge, codeBodyTooSlow, codeMediaType)
	}
	return append(may, codeBadRequest, codeInternal, leaderboard.CodeShuttingDown)
}

func addProblems(op *huma.Operation, registry huma.Registry, may []leaderboard.Code) {
	byStatus := map[int][]string{}
	for _, c := range codes { // in the order of that table
		if slices.Contains(may, c.code) {
			byStatus[c.status] = append(byStatus[c.status], fmt.Sprintf("`%s`: %s", c.code, c.meaning))
		}
	}
	for status, meanings := range byStatus {
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: strings.Join(meanings, "\n"),
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: registry.Schema(reflect.TypeFor[problem](), true, "")}},
		}
	}
}

// description is what the API says about itself, ready to be sent.
type description struct {
	document []byte
	page     []byte
}

// describe makes the document and its page. Both come from the program alone,
// so that they cannot be made is a mistake in it, and the tests would have met it.
func describe(table []route, version string) description {
	doc := newDocument(table, version)
	openAnswers(doc, table)
	document, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		panic(fmt.Sprintf("api: encode the OpenAPI document: %v", err))
	}
	return description{document: document, page: renderPage(doc, table)}
}

// openAnswers lets answers have fields that are not described, for a later
// version may add some. What requests may have stays closed.
func openAnswers(doc *huma.OpenAPI, table []route) {
	requests := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	for _, r := range table {
		if r.body != nil {
			requests.Schema(r.body, true, "")
		}
	}
	for name, schema := range doc.Components.Schemas.Map() {
		if requests.Map()[name] == nil {
			schema.AdditionalProperties = nil
		}
	}
}

func (a *API) serveOpenAPI(x *exchange) error {
	a.sendFile(x, "application/json", a.describe().document)
	return nil
}

// sendFile answers with something that is the same for as long as the process
// lives.
func (a *API) sendFile(x *exchange, mediaType string, text []byte) {
	h := x.w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "no-cache") // another version may be started meanwhile
	x.out = append(x.out[:0], text...)
	x.send(http.StatusOK)
}

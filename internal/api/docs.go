package api

import (
	"bytes"
	"cmp"
	_ "embed" // for the page's template and style
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html
var pageText string

//go:embed docs.css
var pageStyle []byte

// page is the OpenAPI document as its template takes it.
type page struct {
	Doc      *huma.OpenAPI
	Sections []section
	Shapes   []shape
	Codes    []pageCode
}

type section struct {
	Name, Description string
	Operations        []operation
}

type operation struct {
	*huma.Operation
	Write     bool
	Body      *fragment
	Example   string
	Responses []response
}

// fragment is a schema by the names of the shapes that it refers to.
type fragment struct{ Names []string }

type response struct {
	Status string
	Title  string
	Body   *fragment
	Notes  []string
}

type shape struct {
	Name   string
	Fields []field
}

type field struct {
	Name, Type, Doc string
	Required        bool
}

type pageCode struct {
	Code    string
	Status  int
	Meaning string
}

var pageTemplate = template.Must(template.New("docs").Funcs(template.FuncMap{
	"prose": prose,
	"lower": strings.ToLower,
}).Parse(pageText))

// prose makes HTML of a description, in which code stands between backticks.
func prose(text string) template.HTML {
	var out strings.Builder
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			out.WriteString("<code>" + template.HTMLEscapeString(part) + "</code>")
		} else {
			out.WriteString(template.HTMLEscapeString(part))
		}
	}
	return template.HTML(out.String()) //nolint:gosec // every part was escaped
}

// renderPage makes the page of a table's document, in the order of the table.
func renderPage(doc *huma.OpenAPI, table []route) []byte {
	p := page{Doc: doc}
	for _, tag := range doc.Tags {
		s := section{Name: tag.Name, Description: tag.Description}
		for i := range table {
			if table[i].tag() == tag.Name {
				s.Operations = append(s.Operations, operationOf(doc, &table[i]))
			}
		}
		p.Sections = append(p.Sections, s)
	}
	schemas := doc.Components.Schemas.Map()
	for _, name := range sortedKeys(schemas) {
		p.Shapes = append(p.Shapes, shapeOf(name, schemas[name]))
	}
	for _, c := range codes {
		p.Codes = append(p.Codes, pageCode{string(c.code), c.status, c.meaning})
	}
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, p); err != nil {
		panic(fmt.Sprintf("api: render the page of the OpenAPI document: %v", err))
	}
	return out.Bytes()
}

func operationOf(doc *huma.OpenAPI, r *route) operation {
	item := doc.Paths[r.path]
	op := map[string]*huma.Operation{
		http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodPatch: item.Patch, http.MethodDelete: item.Delete,
	}[r.method]
	o := operation{Operation: op, Write: r.write, Example: r.example}
	if op.RequestBody != nil {
		o.Body = fragmentOf(op.RequestBody.Content[cmp.Or(r.bodyType, contentJSON)].Schema)
	}
	for _, status := range sortedKeys(op.Responses) {
		o.Responses = append(o.Responses, responseOf(status, op.Responses[status]))
	}
	return o
}

func responseOf(status string, r *huma.Response) response {
	code, _ := strconv.Atoi(status)
	out := response{Status: status, Title: http.StatusText(code)}
	if r.Description != out.Title {
		out.Notes = strings.Split(r.Description, "\n")
	}
	for mediaType, content := range r.Content {
		if content.Schema != nil {
			out.Body = fragmentOf(content.Schema)
		} else {
			out.Notes = append(out.Notes, "`"+mediaType+"`")
		}
	}
	return out
}

func fragmentOf(s *huma.Schema) *fragment {
	alternatives := s.OneOf
	if len(alternatives) == 0 {
		alternatives = []*huma.Schema{s}
	}
	f := &fragment{}
	for _, alternative := range alternatives {
		f.Names = append(f.Names, refName(alternative))
	}
	return f
}

func refName(s *huma.Schema) string { return s.Ref[strings.LastIndexByte(s.Ref, '/')+1:] }

func shapeOf(name string, s *huma.Schema) shape {
	out := shape{Name: name}
	for _, property := range sortedKeys(s.Properties) {
		p := s.Properties[property]
		out.Fields = append(out.Fields, field{
			Name: property, Type: typeOf(p), Doc: p.Description, Required: slices.Contains(s.Required, property),
		})
	}
	return out
}

// typeOf says in words what values a schema takes.
func typeOf(s *huma.Schema) string {
	if s.Ref != "" {
		return refName(s)
	}
	text := s.Type
	switch {
	case s.Type == huma.TypeArray:
		text = "array of " + typeOf(s.Items)
	case len(s.Enum) > 0:
		values := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			values[i] = fmt.Sprint(v)
		}
		text = strings.Join(values, ", ")
		if len(values) > 5 {
			text = "one of the codes"
		}
	case s.Format == "date-time":
		text = "time"
	}
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		text += fmt.Sprintf(", %v to %v", *s.Minimum, *s.Maximum)
	case s.Minimum != nil:
		text += fmt.Sprintf(", at least %v", *s.Minimum)
	}
	if s.Nullable {
		text += " or null"
	}
	return text
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// pagePolicy lets the page load its style from here, and nothing from anywhere.
const pagePolicy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (a *API) serveDocs(x *exchange) error {
	h := x.w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	a.sendFile(x, "text/html; charset=utf-8", a.describe().page)
	return nil
}

func (a *API) serveStyle(x *exchange) error {
	a.sendFile(x, "text/css; charset=utf-8", pageStyle)
	return nil
}

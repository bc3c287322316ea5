package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// router finds routes by the path as it was sent. It splits before it decodes,
// so an encoded slash is part of a segment, and it cleans nothing: what is not
// exactly a path of the table is not there.
type router struct {
	bySegments [][]*node // index: how many segments the path has
}

// node is one path of the table and its routes. One whose literal could also be
// another path's parameter has that path's routes too, and the literal is the
// value of the parameter.
type node struct {
	segments []step
	routes   []*route
	allow    string
}

// step is a part of a path between slashes.
type step struct {
	literal string // "": any but the empty one
	param   bool   // its text is a parameter
}

// match is where a path leads; its node is nil if that is nowhere.
type match struct {
	node   *node
	params [2]string
}

func newRouter(table []route) router {
	var rt router
	nodes := map[string]*node{}
	for i := range table {
		r := &table[i]
		n := nodes[r.path]
		if n == nil {
			n = &node{segments: segmentsOf(r.path)}
			nodes[r.path] = n
			for len(rt.bySegments) <= len(n.segments) {
				rt.bySegments = append(rt.bySegments, nil)
			}
			rt.bySegments[len(n.segments)] = append(rt.bySegments[len(n.segments)], n)
		}
		n.routes = append(n.routes, r)
	}
	for _, sameLength := range rt.bySegments {
		slices.SortFunc(sameLength, func(a, b *node) int { return b.literals() - a.literals() })
		for i, n := range sameLength {
			for _, wider := range sameLength[i+1:] {
				n.include(wider)
			}
		}
	}
	for _, n := range nodes {
		methods := []string{}
		for _, r := range n.routes {
			methods = append(methods, r.method)
			if r.method == http.MethodGet {
				methods = append(methods, http.MethodHead)
			}
		}
		n.allow = strings.Join(append(methods, http.MethodOptions), ", ")
	}
	return rt
}

func segmentsOf(path string) []step {
	var segments []step
	for text := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if strings.HasPrefix(text, "{") {
			segments = append(segments, step{param: true})
		} else {
			segments = append(segments, step{literal: text})
		}
	}
	return segments
}

func (n *node) literals() (count int) {
	for _, s := range n.segments {
		if s.literal != "" {
			count++
		}
	}
	return count
}

// include adds the routes of another path that every path of n is one of too.
func (n *node) include(wider *node) {
	for i, s := range wider.segments {
		if s.literal != "" && s.literal != n.segments[i].literal {
			return
		}
	}
	for i, s := range wider.segments {
		n.segments[i].param = n.segments[i].param || s.param
	}
	n.routes = append(n.routes, wider.routes...)
}

// match finds the path's node. A parameter is never empty.
func (rt *router) match(path string) match {
	count := strings.Count(path, "/")
	if path == "" || path[0] != '/' || count >= len(rt.bySegments) {
		return match{}
	}
	for _, n := range rt.bySegments[count] {
		if m, ok := n.match(path[1:]); ok {
			return m
		}
	}
	return match{}
}

func (n *node) match(path string) (match, bool) {
	m := match{node: n}
	params := 0
	for _, want := range n.segments {
		segment, rest, _ := strings.Cut(path, "/")
		path = rest
		if segment == "" || want.literal != "" && segment != want.literal {
			return match{}, false
		}
		if !want.param {
			continue
		}
		if strings.IndexByte(segment, '%') >= 0 {
			segment, _ = url.PathUnescape(segment) // an escaped path is what EscapedPath returns
		}
		m.params[params] = segment
		params++
	}
	return m, true
}

// route returns the node's route for a method, or nil. What can be got can be
// asked for its head.
func (n *node) route(method string) *route {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, r := range n.routes {
		if r.method == method {
			return r
		}
	}
	return nil
}

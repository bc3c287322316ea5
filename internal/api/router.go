package api

import (
	"net/http"
	"net/url"
	"strings"
)

// router finds routes by the path as it was sent. It splits before it decodes,
// so an encoded slash is part of a segment, and it cleans nothing: what is not
// exactly a path of the table is not there.
type router struct {
	bySegments [][]*node // index: how many segments the path has
}

// node is one path of the table and its routes.
type node struct {
	segments []string // "" is a parameter
	routes   []*route
	allow    string
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

func segmentsOf(path string) []string {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, segment := range segments {
		if strings.HasPrefix(segment, "{") {
			segments[i] = ""
		}
	}
	return segments
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
		if want != "" {
			if segment != want {
				return match{}, false
			}
			continue
		}
		if segment == "" {
			return match{}, false
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

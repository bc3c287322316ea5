// Package deploy holds what puts one address in front of many nodes and one
// Redis behind them. It is what both forms of that are made of: compose.yaml,
// which a test compares with it, and the command cluster.
package deploy

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed nginx.conf.template
var nginx string

// Redis returns what redis-server has to be told so that what was acknowledged
// is on its disk and nothing is thrown away to make room.
func Redis() []string {
	return []string{"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"}
}

// Servers returns nodes, each HOST:PORT, as the template wants them. A node that
// does not answer is left alone for a second and not, as nginx would by itself,
// for ten: after two restarts in a row there would be nobody left to ask.
func Servers(nodes ...string) string {
	lines := make([]string, len(nodes))
	for i, node := range nodes {
		lines[i] = fmt.Sprintf("server %s max_fails=1 fail_timeout=1s;", node)
	}
	return strings.Join(lines, " ")
}

// Nginx returns the part of nginx's http block that listens on an address, in
// nginx's words, and passes everything on to the nodes.
func Nginx(listen string, nodes ...string) string {
	return strings.NewReplacer("${LAUREL_LISTEN}", listen, "${LAUREL_NODES}", Servers(nodes...)).Replace(nginx)
}

// NginxAlone returns a whole configuration of an nginx that stays in the
// foreground, writes only below a directory, and does nothing but what [Nginx]
// says. Its workers run as user.
func NginxAlone(dir, user, listen string, nodes ...string) string {
	var temporary strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s/nginx-%s;\n", kind, dir, kind)
	}
	return fmt.Sprintf(`user %s;
daemon off;
pid %s/nginx.pid;
error_log stderr warn;
worker_processes 2;
events { worker_connections 8192; }
http {
access_log off;
%s
%s}
`, user, dir, temporary.String(), Nginx(listen, nodes...))
}

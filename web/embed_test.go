package web_test

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"laurel/web"
)

var reference = regexp.MustCompile(`(?:src|href)="([^"]*)"`)

func TestPageRefersToFilesThatAreThere(t *testing.T) {
	files := web.Files()
	page, err := fs.ReadFile(files, "index.html")
	if err != nil {
		t.Fatal(err)
	}
	found := reference.FindAllStringSubmatch(string(page), -1)
	if len(found) < 3 { // a script, a style sheet and an icon
		t.Errorf("index.html refers to %d files, want at least 3", len(found))
	}
	for _, match := range found {
		name, ok := strings.CutPrefix(match[1], "/assets/")
		if !ok {
			t.Errorf("index.html refers to %s, want an address under /assets/", match[1])
			continue
		}
		if _, err := fs.Stat(files, path.Join("assets", name)); err != nil {
			t.Errorf("index.html refers to %s: %v", match[1], err)
		}
	}
}

// The server's content security policy stops inline scripts and styles.
func TestPageHasNothingInline(t *testing.T) {
	page, err := fs.ReadFile(web.Files(), "index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, inline := range []string{`<script>`, `<script type="module">`, `<style`, ` style=`, ` onload=`} {
		if strings.Contains(string(page), inline) {
			t.Errorf("index.html has %s", inline)
		}
	}
}

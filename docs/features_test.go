// Package docs_test holds the documentation to the code.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFeaturesAreShown looks for each test that features.md names.
func TestFeaturesAreShown(t *testing.T) {
	var tests strings.Builder
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && (name == "node_modules" || name == "dist" || name == ".git"):
			return filepath.SkipDir
		case strings.HasSuffix(name, "_test.go"), strings.Contains(name, ".test."), strings.Contains(path, "storetest"+string(filepath.Separator)) && strings.HasSuffix(name, ".go"):
			text, err := os.ReadFile(path)
			tests.Write(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("features.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		columns := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " |")
		if len(columns) < 3 || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| feature |") {
			continue
		}
		rows++
		feature, answer, shown := strings.TrimSpace(columns[0]), strings.TrimSpace(columns[1]), columns[2]
		named := regexp.MustCompile("`(Test[A-Za-z]+)`|\"([^\"]+)\"").FindAllStringSubmatch(shown, -1)
		if len(named) == 0 && !strings.HasPrefix(answer, "not yet") && !strings.HasPrefix(answer, "no:") {
			t.Errorf("%s: no test is named, and the answer is not that there is none", feature)
		}
		for _, name := range named {
			if name[1] != "" && !strings.Contains(tests.String(), "func "+name[1]+"(") {
				t.Errorf("%s: there is no %s", feature, name[1])
			}
			if name[2] != "" && !strings.Contains(tests.String(), `"`+name[2]+`"`) && !strings.Contains(tests.String(), `'`+name[2]+`'`) {
				t.Errorf("%s: there is no test %q", feature, name[2])
			}
		}
	}
	if rows < 45 {
		t.Errorf("%d features, want at least the 45 of the comparison", rows)
	}
}

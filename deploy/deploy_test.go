package deploy

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// service is what the tests read of one in compose.yaml.
type service struct {
	Image       string
	Command     string
	Environment map[string]string
	Volumes     []string
	Ports       []string
	Build       struct{ Context, Dockerfile string }
}

func services(t *testing.T) map[string]service {
	t.Helper()
	text, err := os.ReadFile("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct{ Services map[string]service }
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	return compose.Services
}

// The containers are told what the command cluster tells its processes.
func TestComposeIsWhatIsRunHere(t *testing.T) {
	all := services(t)
	var nodes []string
	dockerfile, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range all {
		if strings.HasPrefix(name, "laurel-") {
			nodes = append(nodes, name+":8000")
			if listen, ok := s.Environment["LAUREL_LISTEN"]; ok || !strings.Contains(string(dockerfile), "\nENV LAUREL_LISTEN=:8000\n") {
				t.Errorf("%s listens elsewhere than nginx looks for it: %s", name, listen)
			}
			if got := s.Environment["LAUREL_REDIS"]; got != "redis://redis:6379" {
				t.Errorf("%s looks for Redis at %q", name, got)
			}
			if s.Build.Context != ".." || s.Build.Dockerfile != "deploy/Dockerfile" {
				t.Errorf("%s is built by %+v", name, s.Build)
			}
		}
	}
	slices.Sort(nodes)
	if len(nodes) != 2 {
		t.Fatalf("the nodes are %q, want two", nodes)
	}
	if got, want := all["redis"].Command, "redis-server "+strings.Join(Redis(), " "); got != want {
		t.Errorf("redis runs %q, want %q", got, want)
	}

	nginx := all["nginx"]
	if want := []string{"./nginx.conf.template:/etc/nginx/templates/default.conf.template:ro"}; !cmp.Equal(want, nginx.Volumes) {
		t.Errorf("nginx has %q, want %q", nginx.Volumes, want)
	}
	if want := []string{"8080:80"}; !cmp.Equal(want, nginx.Ports) {
		t.Errorf("nginx is at %q, want %q", nginx.Ports, want)
	}
	// The image fills in the template as envsubst does.
	template, err := os.ReadFile("nginx.conf.template")
	if err != nil {
		t.Fatal(err)
	}
	filled := string(template)
	for name, value := range nginx.Environment {
		filled = strings.NewReplacer("${"+name+"}", value, "$"+name, value).Replace(filled)
	}
	if diff := cmp.Diff(Nginx("80", nodes...), filled); diff != "" {
		t.Errorf("nginx is configured in another way (-derived +compose):\n%s", diff)
	}
	if strings.Contains(filled, "${") {
		t.Errorf("something of the template is not filled in:\n%s", filled)
	}
}

// What the Dockerfile says is so.
func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	find := func(pattern string) []string {
		t.Helper()
		found := regexp.MustCompile("(?m)^" + pattern).FindStringSubmatch(string(text))
		if found == nil {
			t.Fatalf("nothing in the Dockerfile is like %q", pattern)
		}
		return found[1:]
	}
	module, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if version := find(`FROM golang:([0-9.]+) AS build$`)[0]; !strings.Contains(string(module), "\ngo "+version) {
		t.Errorf("it is built by Go %s, which is not what go.mod asks for", version)
	}
	build := find(`RUN CGO_ENABLED=0 go build .* -o (\S+) (\S+)$`)
	if _, err := os.Stat("../" + build[1]); err != nil {
		t.Errorf("what is built is not there: %v", err)
	}
	if from, to := find(`COPY --from=build (/laurel) (\S+)$`)[0], find(`ENTRYPOINT \["(\S+)"\]$`)[0]; from != build[0] || to != build[0] {
		t.Errorf("%s is built, %s is copied and %s is run", build[0], from, to)
	}
	if listen, port := find(`ENV LAUREL_LISTEN=(\S+)$`)[0], find(`EXPOSE (\d+)$`)[0]; listen != ":"+port {
		t.Errorf("it listens on %s and says %s", listen, port)
	}
	if dir := find(`WORKDIR (/data)$`)[0]; dir != find(`VOLUME (\S+)$`)[0] {
		t.Error("the boards would be outside of the volume")
	}
}

package centrifugo

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// What the documentation shows is what is taken.
func TestDocumentedConfigurations(t *testing.T) {
	text, err := os.ReadFile("../../docs/centrifugo.md")
	if err != nil {
		t.Fatal(err)
	}
	consumers, publishers, stock := 0, 0, 0
	for i, block := range strings.Split(string(text), "```") {
		language, body, _ := strings.Cut(block, "\n")
		if i%2 == 0 || language != "yaml" && language != "json" {
			continue
		}
		var all map[string]any
		if err := yaml.Unmarshal([]byte(body), &all); err != nil {
			t.Fatalf("%v in\n%s", err, body)
		}
		if language == "json" {
			var values map[string]any
			if err := json.Unmarshal([]byte(body), &values); err != nil {
				t.Fatalf("%v in\n%s", err, body)
			}
			// Centrifugo's part that is ours too must agree with what we append to.
			config, err := Parse(map[string]any{"consumers": values["consumers"]})
			if err != nil {
				t.Fatal(err)
			}
			got := config.Consumers[0].RedisStream
			if got.Streams[0] != DefaultStream || got.ConsumerGroup != DefaultConsumerGroup {
				t.Errorf("Centrifugo is to read %q as %q", got.Streams, got.ConsumerGroup)
			}
			stock++
			continue
		}
		if section, ok := all["centrifugo"].(map[string]any); ok {
			if _, err := ParsePublisher(section); err != nil {
				t.Errorf("%v in\n%s", err, body)
			}
			publishers++
			continue
		}
		ours := map[string]any{}
		for _, name := range []string{"client", "channel", "consumers"} {
			if section, ok := all[name]; ok {
				ours[name] = section
			}
		}
		if config, err := Parse(ours); err != nil || len(config.Consumers) != 1 {
			t.Errorf("%v in\n%s", err, body)
		}
		consumers++
	}
	if consumers != 2 || publishers != 1 || stock != 1 {
		t.Errorf("%d configurations of consumers, %d of publishers and %d of Centrifugo, want 2, 1 and 1", consumers, publishers, stock)
	}
}

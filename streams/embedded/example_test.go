package embedded_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"nudge/streams/embedded"
)

func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	k, err := embedded.StartKafka(filepath.Join(dir, "kafka"), 0, nil, embedded.KafkaTopic{Name: "clickstream", Partitions: 4})
	if err != nil {
		log.Fatal(err)
	}
	defer k.Close()
	n, err := embedded.StartNATS(filepath.Join(dir, "nats"), 0, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	fmt.Println(strings.HasPrefix(k.Addr(), "127.0.0.1:"), strings.HasPrefix(n.URL(), "nats://127.0.0.1:"))
	// Output: true true
}

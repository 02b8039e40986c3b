package embedded_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"nudge/streams/embedded"
)

// What the broker has acknowledged is there after a kill -9 of its process. The child is this test in another process.
func TestKafkaSurvivesKill(t *testing.T) {
	topic := embedded.KafkaTopic{Name: "clickstream", Partitions: 1}
	if dir := os.Getenv("NUDGE_TEST_CHILD_DIR"); dir != "" {
		k := start(t, dir, 0, topic)
		fmt.Println("listens on", k.Addr())
		select {}
	}
	dir := t.TempDir()
	stored := 0
	for round := range 3 {
		child := exec.Command(os.Args[0], "-test.run=^TestKafkaSurvivesKill$", "-test.v")
		child.Env = append(os.Environ(), "NUDGE_TEST_CHILD_DIR="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		addr := ""
		for lines := bufio.NewScanner(out); addr == "" && lines.Scan(); {
			_, addr, _ = strings.Cut(lines.Text(), "listens on ")
		}
		cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(topic.Name), kgo.ProducerBatchMaxBytes(2000))
		if err != nil {
			t.Fatal(err)
		}
		// Keep it busy; kill it between two acknowledgements.
		for i := range 500 {
			if err := cl.ProduceSync(t.Context(), kgo.StringRecord(fmt.Sprint(stored))).FirstErr(); err != nil {
				t.Fatal(err)
			}
			stored++
			if i == 100*(round+1) {
				break
			}
		}
		child.Process.Kill()
		child.Wait()
		cl.Close()
	}
	k := start(t, dir, 0, topic)
	for i, r := range read(t, k, topic.Name, stored) {
		if string(r.Value) != fmt.Sprint(i) {
			t.Fatalf("record %d: got %s", i, r.Value)
		}
	}
}

package nats

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"nudge/streams/embedded"
)

// These make the test binary a nats-server of its own process: the folder and the port.
const (
	childDir  = "NUDGE_TEST_NATS_CHILD_DIR"
	childPort = "NUDGE_TEST_NATS_CHILD_PORT"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

// child serves until its standard input ends.
func child(dir string) int {
	port, err := strconv.Atoi(os.Getenv(childPort))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	srv, err := embedded.StartNATS(dir, port, nil)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(srv.URL())
	io.Copy(io.Discard, os.Stdin)
	srv.Close()
	return 0
}

// serverProcess is a nats-server that can be killed.
type serverProcess struct {
	cmd *exec.Cmd
	url string
}

func process(t testing.TB, dir string, port int) *serverProcess {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childPort+"="+strconv.Itoa(port))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait() // it may have been killed and waited for
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "nats://") {
		t.Fatalf("the server's process says %q (%v)", line, err)
	}
	return &serverProcess{cmd, strings.TrimSpace(line)}
}

// kill ends the process with kill -9.
func (p *serverProcess) kill(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.cmd.Wait() // says that it was killed
}

// TestServerKilled kills the server with messages in flight and starts it again on the files it left.
func TestServerKilled(t *testing.T) {
	dir := t.TempDir()
	srv := process(t, dir, 0)
	url := srv.url
	s := open(t, connect(t, Config{URL: url}))
	p := publisher(t, s, 1000)
	msgs := decisions(s, 0, 6000)
	batch := 0
	unsure := disturbed(t, s, p, msgs, 250, func() {
		if batch++; batch == 4 || batch == 9 || batch == 21 {
			srv.kill(t)
			srv = process(t, dir, port(t, url))
		}
	})
	exactly(t, s, msgs)
	t.Logf("unsure %d times", unsure)
}

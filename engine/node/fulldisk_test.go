//go:build linux

package node_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// smallDisk mounts a disk of so many bytes for the test.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("it takes a disk that can be filled: mounting one: %v; run as root, in a container with CAP_SYS_ADMIN", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk writes a file that leaves about so many bytes of the disk free. It may be called by any goroutine.
func fillDisk(t *testing.T, path string, leave int64) {
	f, err := os.Create(path)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	var st syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &st); err != nil {
		t.Error(err)
		return
	}
	if free := int64(st.Bavail)*int64(st.Bsize) - leave; free > 0 {
		if err := syscall.Fallocate(int(f.Fd()), 0, 0, free); err != nil {
			t.Error(err)
		}
	}
}

// TestFullDisk fills the disk of a node in mid-flight: it stops taking input and says so, goes on when there is room, and has
// lost nothing.
func TestFullDisk(t *testing.T) {
	for _, c := range []struct {
		app, waits       string
		leave            int64
		checkpointEvents int
	}{
		{"fulljournal", "disk space for the journal", 0, 1 << 30},
		{"fullcheckpoint", "disk space for a checkpoint", 40 << 20, 500},
	} {
		t.Run(c.app, func(t *testing.T) {
			disk := smallDisk(t, "400m")
			b := startBrokers(t)
			b.fill(t, c.app, shopRecords()[:4000])
			spec := nodeSpec{Brokers: b, App: c.app, Dir: filepath.Join(disk, "state"), EpochEvents: 100, Workers: 2, CheckpointEvents: c.checkpointEvents,
				CheckpointEvery: time.Hour, Lease: 2 * time.Second}
			ballast := filepath.Join(disk, "ballast")
			r := launch(t, spec, at("journal appended", 5, func() { fillDisk(t, ballast, c.leave) }))
			r.awaitWaiting(t, c.waits)
			if r.node.Ready() {
				t.Error("the node says that it is ready")
			}
			stands, _ := r.node.journal.Last()
			tick := time.NewTicker(1200 * time.Millisecond) // longer than the node waits before it tries again
			<-tick.C
			tick.Stop()
			if now, _ := r.node.journal.Last(); now != stands {
				t.Errorf("the journal went from epoch %d to %d although there was no room", stands, now)
			}
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			r.finish(t)
			compare(t, b, c.app, spec.Dir, replayJournal(t, b, c.app, spec.Dir, 1, 0))
		})
	}
}

package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// What a caller can act on. Every error of this package that has one of these causes wraps it.
var (
	// ErrInUse: another process has the state folder open.
	ErrInUse = errors.New("state folder is in use")
	// ErrOtherApp: the folder or journal belongs to another app.
	ErrOtherApp = errors.New("state belongs to another app")
	// ErrNewerFormat: a newer nudge wrote the folder.
	ErrNewerFormat = errors.New("state has a newer format")
	// ErrNoSpace: the disk is full or nearly so. Nothing is lost; the same call can be made again when there is room.
	ErrNoSpace = errors.New("no space left on the disk")
	// ErrCorrupt: what is on disk can't have been written so.
	ErrCorrupt = errors.New("state is damaged")
	// ErrStop, returned by the function given to a scan, ends the scan without an error.
	ErrStop = errors.New("stop scanning")
)

// Format is the version of the folder's layout that this build writes.
const Format = 1

const (
	folderFile     = "nudge.json"
	lockFile       = "LOCK"
	checkpointFile = "checkpoint"
	dbDir          = "db"
	journalDir     = "journal"
)

// folder is the content of nudge.json.
type folder struct {
	App    string `json:"app"`
	Format int    `json:"format"`
	Build  string `json:"build"`
}

// lockFolder takes the folder's lock. The lock is the process's: it goes with the returned file.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("state: lock %s: %w", dir, noSpace(err))
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("state: open %s: %w: stop the other nudge first, or give this one another --dir", dir, ErrInUse)
		}
		return nil, fmt.Errorf("state: lock %s: %w", dir, err)
	}
	return f, nil
}

// claimFolder checks that the folder is app's, or makes it so if it is fresh.
func claimFolder(dir, app, build string) (folder, error) {
	path := filepath.Join(dir, folderFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		for _, sub := range []string{dbDir, journalDir} {
			if _, err := os.Stat(filepath.Join(dir, sub)); err == nil {
				return folder{}, fmt.Errorf("state: open %s: %w: %s is there but %s is missing: restore a backup, or give an empty folder",
					dir, ErrCorrupt, sub, folderFile)
			}
		}
		f := folder{App: app, Format: Format, Build: build}
		b, err := json.Marshal(f)
		if err != nil {
			return folder{}, fmt.Errorf("state: write %s: %w", path, err)
		}
		if err := writeFile(path, append(b, '\n')); err != nil {
			return folder{}, fmt.Errorf("state: write %s: %w", path, err)
		}
		return f, nil
	}
	if err != nil {
		return folder{}, fmt.Errorf("state: read %s: %w", path, err)
	}
	var f folder
	if err := json.Unmarshal(b, &f); err != nil {
		return folder{}, fmt.Errorf("state: read %s: %w: %w: restore a backup", path, ErrCorrupt, err)
	}
	switch {
	case f.Format > Format:
		return f, fmt.Errorf("state: open %s: %w: format %d, written by build %q; this build knows up to %d: use the newer nudge, or another --dir",
			dir, ErrNewerFormat, f.Format, f.Build, Format)
	case f.App != app:
		return f, fmt.Errorf("state: open %s: %w: it is %q's, this is %q: give another --dir, or the app's own name",
			dir, ErrOtherApp, f.App, app)
	}
	return f, nil
}

// writeFile replaces a small file whole: after a power cut it is the old or the new one.
func writeFile(path string, b []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return noSpace(err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		os.Remove(tmp)
		return noSpace(err)
	}
	return syncDir(filepath.Dir(path))
}

// makeDir creates dir and its missing parents and makes their names durable.
func makeDir(dir string) error {
	if fi, err := os.Stat(dir); err == nil {
		if !fi.IsDir() {
			return fmt.Errorf("state: %s is a file: give a folder", dir)
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("state: create %s: %w", dir, noSpace(err))
	}
	return syncDir(parent)
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("state: sync folder: %w", err)
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("state: sync folder %s: %w", dir, noSpace(err))
	}
	return nil
}

// noSpace adds ErrNoSpace to an error that a full disk caused. Badger hands most of its causes on as text.
func noSpace(err error) error {
	if err == nil || errors.Is(err, ErrNoSpace) {
		return err
	}
	full := errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
	for _, e := range []error{unix.ENOSPC, unix.EDQUOT, unix.EFBIG} {
		full = full || strings.Contains(err.Error(), e.Error())
	}
	if full {
		return fmt.Errorf("%w: %w: make room on it", ErrNoSpace, err)
	}
	return err
}

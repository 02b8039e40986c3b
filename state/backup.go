package state

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

// A backup is a folder with rows.zst (rows in key order: length of the key, key, length of the value, value, the lengths
// as uvarint), meta, the journal's segments, and backup.json, which is written last: without it there is no backup.
const (
	backupFile     = "backup.json"
	backupRows     = "rows.zst"
	backupMeta     = "meta"
	restoringFile  = "restoring" // in a state folder that a restore has not finished
	restoringWords = "a restore into this folder has not finished: run it again\n"
)

// BackupInfo is what a backup says of itself.
type BackupInfo struct {
	App     string `json:"app"`
	Format  int    `json:"format"`
	Build   string `json:"build"`
	Version uint64 `json:"version"` // of the checkpoint
	Rows    int    `json:"rows"`
	Bytes   int64  `json:"bytes"` // of keys and values
	Hash    uint64 `json:"hash,string"`
	Journal string `json:"journal,omitempty"` // id of the journal, empty if there is none
	Epoch   uint64 `json:"epoch,omitempty"`   // last epoch in the backup's journal
}

// Backup copies the last complete checkpoint into dir, which must be empty or absent, and of the journal the segments
// from the epoch on that from finds in the checkpoint's meta. It runs beside everything else. A nil journal is left out.
func (s *Store) Backup(dir string, j *Journal, from func(meta []byte) (uint64, error)) (BackupInfo, error) {
	if err := makeDir(dir); err != nil {
		return BackupInfo{}, err
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return BackupInfo{}, fmt.Errorf("state: backup: %w", err)
	}
	if len(names) > 0 {
		return BackupInfo{}, fmt.Errorf("state: backup: %s is not empty: give an empty folder", dir)
	}
	info, err := s.backup(dir, j, from)
	if err != nil {
		return info, fmt.Errorf("state: backup to %s: %w", dir, noSpace(err))
	}
	return info, nil
}

func (s *Store) backup(dir string, j *Journal, from func(meta []byte) (uint64, error)) (BackupInfo, error) {
	db, version, meta, err := s.enter()
	if err != nil {
		return BackupInfo{}, err
	}
	defer s.leave(version)
	if version == 0 {
		return BackupInfo{}, errors.New("there is no checkpoint yet: wait for the first")
	}
	info := BackupInfo{App: s.made.App, Format: Format, Build: s.opt.Build, Version: version}

	if j != nil {
		epoch, err := from(meta)
		if err != nil {
			return info, err
		}
		info.Journal = j.Header().ID
		if info.Epoch, err = j.copyTo(filepath.Join(dir, journalDir), epoch); err != nil {
			return info, err
		}
	}
	f, err := os.Create(filepath.Join(dir, backupRows))
	if err != nil {
		return info, err
	}
	defer f.Close()
	z, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return info, err
	}
	w := bufio.NewWriterSize(z, 1<<18)
	var d xxhash.Digest
	var lengths []byte
	err = scan(db, version, span{values: true}, func(key, val []byte) error {
		info.Hash += rowHash(&d, key, val)
		info.Rows++
		info.Bytes += int64(len(key) + len(val))
		for _, b := range [2][]byte{key, val} {
			lengths = binary.AppendUvarint(lengths[:0], uint64(len(b)))
			w.Write(lengths)
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		return nil
	})
	for _, finish := range []func() error{w.Flush, z.Close, f.Sync} {
		if ferr := finish(); err == nil {
			err = ferr
		}
	}
	if err != nil {
		return info, err
	}
	if err := writeFile(filepath.Join(dir, backupMeta), meta); err != nil {
		return info, err
	}
	b, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return info, err
	}
	return info, writeFile(filepath.Join(dir, backupFile), append(b, '\n'))
}

// copyTo copies the segments that hold the entries from an epoch on, at least the last one, and returns the last epoch
// copied.
func (j *Journal) copyTo(dir string, epoch uint64) (uint64, error) {
	opened, upTo, err := j.from(min(epoch, max(j.last.Load(), j.First())), true)
	if err != nil {
		return 0, err
	}
	defer closeAll(opened)
	if err := makeDir(dir); err != nil {
		return 0, err
	}
	for _, o := range opened {
		if err := copyFile(filepath.Join(dir, filepath.Base(o.path)), io.NewSectionReader(o.f, 0, o.end)); err != nil {
			return 0, err
		}
	}
	return upTo, syncDir(dir)
}

func copyFile(to string, from io.Reader) error {
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// ReadBackup returns what the backup in dir says of itself.
func ReadBackup(dir string) (BackupInfo, error) {
	var info BackupInfo
	b, err := os.ReadFile(filepath.Join(dir, backupFile))
	if errors.Is(err, fs.ErrNotExist) {
		return info, fmt.Errorf("state: %s holds no finished backup: %w", dir, err)
	}
	if err == nil {
		err = json.Unmarshal(b, &info)
	}
	if err != nil {
		return info, fmt.Errorf("state: read backup %s: %w", dir, err)
	}
	if info.Format > Format {
		return info, fmt.Errorf("state: read backup %s: %w: format %d, this build knows up to %d: use the newer nudge", dir, ErrNewerFormat, info.Format, Format)
	}
	return info, nil
}

// Restore makes a state folder of a backup. The folder must be fresh, or left by a restore that did not finish. An empty
// Options.App takes the backup's; another one than the backup's is ErrOtherApp.
func Restore(backup, dir string, o Options) (BackupInfo, error) {
	info, err := ReadBackup(backup)
	if err != nil {
		return info, err
	}
	if o.App == "" {
		o.App = info.App
	}
	if o.App != info.App {
		return info, fmt.Errorf("state: restore %s: %w: it is %q's, this is %q", backup, ErrOtherApp, info.App, o.App)
	}
	if err := prepareRestore(dir); err != nil {
		return info, err
	}
	if err := restore(backup, dir, info, o); err != nil {
		return info, fmt.Errorf("state: restore %s into %s: %w", backup, dir, noSpace(err))
	}
	return info, nil
}

func prepareRestore(dir string) error {
	if err := makeDir(dir); err != nil {
		return err
	}
	flag := filepath.Join(dir, restoringFile)
	_, err := os.Stat(flag)
	if errors.Is(err, fs.ErrNotExist) {
		for _, name := range []string{folderFile, dbDir, journalDir} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				return fmt.Errorf("state: restore into %s: it holds a state already: give a fresh folder", dir)
			}
		}
		return writeFile(flag, []byte(restoringWords))
	}
	if err != nil {
		return fmt.Errorf("state: restore into %s: %w", dir, err)
	}
	for _, name := range []string{folderFile, checkpointFile, dbDir, journalDir} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("state: restore into %s: %w", dir, err)
		}
	}
	return nil
}

func restore(backup, dir string, info BackupInfo, o Options) error {
	s, err := openRestoring(dir, o)
	if err != nil {
		return err
	}
	err = s.load(backup, info)
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	if err == nil && info.Journal != "" {
		err = restoreJournal(filepath.Join(backup, journalDir), s.JournalDir(), info)
	}
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, restoringFile)); err != nil {
		return err
	}
	return syncDir(dir)
}

// load puts the backup's rows into a fresh store.
func (s *Store) load(backup string, info BackupInfo) error {
	meta, err := os.ReadFile(filepath.Join(backup, backupMeta))
	if err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(backup, backupRows))
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer z.Close()
	c, err := s.Begin()
	if err != nil {
		return err
	}
	defer c.Abort()
	var d xxhash.Digest
	var hash uint64
	rows := 0
	err = readRows(bufio.NewReaderSize(z, 1<<18), func(key, val []byte) {
		hash += rowHash(&d, key, val)
		rows++
		c.Put(key, val)
	})
	if err != nil {
		return fmt.Errorf("%s: %w: %w", backupRows, ErrCorrupt, err)
	}
	if rows != info.Rows || hash != info.Hash {
		return fmt.Errorf("%s: %w: want %d rows with hash %016x, got %d with %016x: take another backup",
			backupRows, ErrCorrupt, info.Rows, info.Hash, rows, hash)
	}
	_, err = c.Complete(meta)
	return err
}

// readRows calls fn with every row of a backup. Key and value are only valid during the call.
func readRows(r *bufio.Reader, fn func(key, val []byte)) error {
	var key, val []byte
	for {
		n, err := binary.ReadUvarint(r)
		if err == io.EOF {
			return nil
		}
		if err == nil {
			key, err = readN(r, key, n, MaxKey)
		}
		if err == nil {
			n, err = binary.ReadUvarint(r)
		}
		if err == nil {
			val, err = readN(r, val, n, MaxValue)
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		fn(key, val)
	}
}

func readN(r io.Reader, b []byte, n, most uint64) ([]byte, error) {
	if n > most {
		return b, fmt.Errorf("length %d, at most %d is possible", n, most)
	}
	if uint64(cap(b)) < n {
		b = make([]byte, n)
	}
	_, err := io.ReadFull(r, b[:n])
	return b[:n], err
}

// restoreJournal copies the backup's journal and reads it through once.
func restoreJournal(from, to string, info BackupInfo) error {
	if err := makeDir(to); err != nil {
		return err
	}
	names, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, n := range names {
		f, err := os.Open(filepath.Join(from, n.Name()))
		if err != nil {
			return err
		}
		err = copyFile(filepath.Join(to, n.Name()), f)
		f.Close()
		if err != nil {
			return err
		}
	}
	if err := syncDir(to); err != nil {
		return err
	}
	j, err := OpenJournal(to, JournalHeader{App: info.App, ID: info.Journal}, JournalOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer j.Close()
	if last, _ := j.Last(); last != info.Epoch {
		return fmt.Errorf("journal: %w: want entries up to epoch %d, got %d: take another backup", ErrCorrupt, info.Epoch, last)
	}
	return j.Read(j.First(), func(uint64, uint64, []byte) error { return nil })
}

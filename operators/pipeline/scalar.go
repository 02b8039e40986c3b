package pipeline

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
)

// Bytes is an amount of memory or disk. In YAML it is a number with a unit: 512MiB, 40GiB, 64KB.
type Bytes int64

var byteUnits = []struct {
	name string
	size float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// UnmarshalText is the inverse of MarshalText.
func (b *Bytes) UnmarshalText(text []byte) error {
	s := string(text)
	for _, unit := range byteUnits {
		number, ok := strings.CutSuffix(s, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(n >= 0) || n*unit.size >= math.MaxInt64 {
			break
		}
		*b = Bytes(n * unit.size)
		return nil
	}
	return errors.New("want a number with a unit of KiB, MiB, GiB, TiB, KB, MB, GB, TB or B, such as 512MiB")
}

// MarshalText writes the amount in the largest unit that divides it.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

func (b Bytes) String() string {
	for _, unit := range []int{3, 2, 1, 0} {
		if size := Bytes(byteUnits[unit].size); b >= size && b%size == 0 {
			return strconv.FormatInt(int64(b/size), 10) + byteUnits[unit].name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// Secret says where a secret is found. It never holds the secret, so a Config can be printed and journalled.
type Secret struct {
	Env  string `yaml:"env"`  // name of an environment variable
	File string `yaml:"file"` // path of a file; one newline at its end is left out
}

// IsSet says whether the file names a place for the secret.
func (s Secret) IsSet() bool { return s != Secret{} }

// Read fetches the secret, "" if none was asked for.
func (s Secret) Read() (string, error) {
	switch {
	case s.Env != "":
		value, ok := os.LookupEnv(s.Env)
		if !ok || value == "" {
			return "", fmt.Errorf("operators/pipeline: the environment variable %s is not set; set it, or give the secret as {file: path}", s.Env)
		}
		return value, nil
	case s.File != "":
		text, err := os.ReadFile(s.File)
		if err != nil {
			return "", fmt.Errorf("operators/pipeline: read a secret: %w", err)
		}
		return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
	}
	return "", nil
}

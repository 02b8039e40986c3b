package evaluation

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const longest = 1 << 20 // bytes of a row

// firstLine is the first line that says something, which it leaves in the reader, and how many were before it: empty ones, and comments as they head the
// files of graph collections, "% bip weighted". A byte order mark is none of it.
func firstLine(in *bufio.Reader) (before int, line string, err error) {
	if mark, _ := in.Peek(3); string(mark) == "\ufeff" {
		in.Discard(3)
	}
	for ; ; before++ {
		line, err = peekLine(in)
		if err != nil {
			return before, "", err
		}
		if text := strings.TrimSpace(line); text != "" && text != "#" && text != "%" && !strings.HasPrefix(text, "# ") && !strings.HasPrefix(text, "% ") {
			return before, line, nil
		}
		if _, err := in.ReadSlice('\n'); err != nil {
			return before, "", errors.New("the file is empty")
		}
	}
}

func peekLine(in *bufio.Reader) (string, error) {
	for n := 256; ; n *= 2 {
		b, err := in.Peek(min(n, 1<<16))
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			b, err = b[:i], nil
			return strings.TrimRight(string(b), "\r"), nil
		}
		if err == io.EOF && len(b) > 0 {
			return string(b), nil
		}
		if err != nil {
			return "", errors.New("the file is empty")
		}
		if n > 1<<16 {
			return "", errors.New("the first line is longer than 64 KiB")
		}
	}
}

// secondLine is the second line of the input, "" where there is none within reach.
func secondLine(in *bufio.Reader) string {
	b, _ := in.Peek(1 << 16)
	_, rest, _ := strings.Cut(string(b), "\n")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimRight(line, "\r")
}

// table says what else than columns a line is.
func table(first string) error {
	if strings.ContainsFunc(first, func(r rune) bool { return r < '\t' }) {
		return errors.New("this is no text in UTF-8: want CSV, TSV or columns separated by blanks, plain or gzip")
	}
	text, object := strings.CutPrefix(strings.TrimLeft(first, " [\t"), "{")
	if object && strings.HasPrefix(strings.TrimSpace(text)+`"`, `"`) {
		return errors.New("this is JSON: want CSV, TSV or columns separated by blanks; such as jq -r '[.user, .item, .time] | @csv' makes of it, with the names that it has")
	}
	return nil
}

// separator sniffs what separates columns: a tab, else two colons, a comma, a semicolon or a bar, else "" for blanks.
func separator(line string) string {
	if utf8.ValidString(line) {
		for _, sep := range []string{"\t", "::", ",", ";", "|"} {
			if strings.Contains(line, sep) {
				return sep
			}
		}
	}
	return ""
}

// quoting says whether a field may stand in quotes.
func quoting(sep string) bool { return len(sep) == 1 && sep != "\t" }

func split(s, sep string) []string {
	if sep == "" {
		return strings.Fields(s)
	}
	if quoting(sep) && strings.Contains(s, `"`) {
		c := csv.NewReader(strings.NewReader(s))
		c.Comma, c.LazyQuotes = rune(sep[0]), true
		if fields, err := c.Read(); err == nil {
			return fields
		}
	}
	return strings.Split(s, sep)
}

// openQuote says whether a row ends within a quoted field, so that it goes on in the next line. A quote ends a field where the separator follows, or nothing.
func openQuote(s string, sep byte) bool {
	for at := 0; ; at++ { // at the beginning of a field
		if at == len(s) || s[at] != '"' {
			next := strings.IndexByte(s[at:], sep)
			if next < 0 {
				return false
			}
			at += next
			continue
		}
		for at++; ; at++ {
			next := strings.IndexByte(s[at:], '"')
			if next < 0 {
				return true
			}
			if at += next + 1; at == len(s) {
				return false
			}
			if s[at] == sep {
				break
			}
			if s[at] != '"' {
				at--
			}
		}
	}
}

// rowReader reads rows of columns.
type rowReader struct {
	scan   *bufio.Scanner
	sep    string
	line   int // read so far
	joined int // lines that went on in a quoted field
}

func newRowReader(in *bufio.Reader, sep string, before int) *rowReader {
	r := &rowReader{scan: bufio.NewScanner(in), sep: sep, line: before}
	r.scan.Buffer(nil, longest)
	return r
}

// next returns the next row's columns, none of an empty line, and the number of the line that it begins on.
func (r *rowReader) next() (n int, fields []string, err error) {
	text, err := r.read()
	n = r.line
	if err != nil {
		return n + 1, nil, err
	}
	if strings.TrimSpace(text) == "" {
		return n, nil, nil
	}
	if quoting(r.sep) && strings.Contains(text, `"`) {
		for openQuote(text, r.sep[0]) {
			more, err := r.read()
			if err == io.EOF || err == nil && len(text)+len(more) > longest {
				return n, nil, fmt.Errorf("a quoted field begins here that does not end within %d bytes", longest)
			}
			if err != nil {
				return r.line + 1, nil, err
			}
			text += "\n" + more
			r.joined++
		}
	}
	return n, split(text, r.sep), nil
}

func (r *rowReader) read() (string, error) {
	if !r.scan.Scan() {
		if r.scan.Err() != nil {
			return "", r.scan.Err()
		}
		return "", io.EOF
	}
	r.line++
	return strings.TrimRight(r.scan.Text(), "\r"), nil
}

func (r *rowReader) notes() []string {
	if r.joined == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d lines go on within quotes from the line before", r.joined)}
}

package streams

import "fmt"

// Position names one record of a log.
type Position struct {
	Topic     string
	Partition int32
	Offset    int64
}

// String writes the position as topic/partition@offset, the form used in errors.
func (p Position) String() string { return fmt.Sprintf("%s/%d@%d", p.Topic, p.Partition, p.Offset) }

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Record is one raw record of a log. Key, Value and Headers alias the buffer of the fetch that
// brought it and are never written to.
type Record struct {
	Offset int64
	// AppendMS is the broker's append time in Unix milliseconds when the topic uses LogAppendTime,
	// else the time that the producer set.
	AppendMS int64
	Key      []byte
	Value    []byte
	Headers  []Header
	// Hash is HashRecord of the record.
	Hash uint64
}

// Batch is what one fetch of a partition brought, in offset order.
type Batch struct {
	Records []Record
	// Next is the offset to fetch next. It may lie past the last record + 1: control records,
	// aborted records and compacted gaps are skipped.
	Next int64
	// End is the first offset that could not be read yet when the fetch was answered: under
	// read-committed the last stable offset, else the high watermark.
	End int64
}

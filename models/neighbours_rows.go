package models

import (
	"encoding/binary"
	"fmt"
	"math"
)

// AppendSession appends the canonical encoding of a session's row; nothing if it is empty.
func (m *Neighbours) AppendSession(b []byte, row uint32) []byte {
	if int(row) >= len(m.sessions) || m.sessions[row].n == 0 {
		return b
	}
	s := &m.sessions[row]
	b = binary.LittleEndian.AppendUint64(b, s.key)
	b = binary.LittleEndian.AppendUint32(b, uint32(s.number))
	b = binary.AppendVarint(b, s.lastMS)
	b = binary.LittleEndian.AppendUint32(b, uint32(s.day))
	b = binary.LittleEndian.AppendUint16(b, s.today)
	for _, i := range s.items[:s.n] {
		b = binary.LittleEndian.AppendUint32(b, uint32(i))
	}
	return b
}

// LoadSession is the inverse of AppendSession.
func (m *Neighbours) LoadSession(row uint32, b []byte) error {
	var s session
	bad := fmt.Errorf("models: session of row %d: %d bytes are no row", row, len(b))
	if len(b) < 23 || row >= uint32(m.opt.Sessions) {
		return bad
	}
	s.key = binary.LittleEndian.Uint64(b)
	s.number = sessionNumber(binary.LittleEndian.Uint32(b[8:]))
	at, n := binary.Varint(b[12:])
	if n <= 0 || len(b) < 12+n+6 {
		return bad
	}
	s.lastMS = at
	b = b[12+n:]
	s.day, s.today = int32(binary.LittleEndian.Uint32(b)), binary.LittleEndian.Uint16(b[4:])
	b = b[6:]
	if len(b)%4 != 0 || len(b) == 0 || len(b)/4 > SessionItems || s.key == 0 || m.open[s.key] != 0 || s.number == 0 || uint32(s.number)%uint32(m.opt.Sessions) != row {
		return bad
	}
	for ; len(b) > 0; b = b[4:] {
		s.items[s.n] = Item(binary.LittleEndian.Uint32(b))
		s.n++
	}
	if int(row) >= len(m.sessions) {
		m.sessions = append(m.sessions, make([]session, int(row)+1-len(m.sessions))...)
	}
	delete(m.open, m.sessions[row].key)
	m.sessions[row] = s
	m.open[s.key] = s.number
	m.last = max(m.last, s.number)
	return nil
}

// AppendItem appends the canonical encoding of an item's row; nothing if it is empty.
func (m *Neighbours) AppendItem(b []byte, row uint32) []byte {
	if int(row) >= len(m.items) || m.items[row].met == 0 {
		return b
	}
	v := &m.items[row]
	b = binary.LittleEndian.AppendUint32(b, uint32(v.item))
	b = binary.LittleEndian.AppendUint32(b, v.met)
	for k := range v.sessions { // from the oldest on
		b = binary.LittleEndian.AppendUint32(b, uint32(v.sessions[(int(v.at)+k)%len(v.sessions)]))
	}
	return b
}

// LoadItem is the inverse of AppendItem.
func (m *Neighbours) LoadItem(row uint32, b []byte) error {
	if len(b) < 12 || len(b)%4 != 0 || row >= MaxItems {
		return fmt.Errorf("models: sessions of item %d: %d bytes are no row", row, len(b))
	}
	v := visitors{item: Item(binary.LittleEndian.Uint32(b)), met: binary.LittleEndian.Uint32(b[4:])}
	if v.item == NoItem || v.item.Row() != row || v.met == 0 {
		return fmt.Errorf("models: sessions of item %d: %d of item %d", row, v.met, v.item)
	}
	for b = b[8:]; len(b) > 0; b = b[4:] {
		v.sessions = append(v.sessions, sessionNumber(binary.LittleEndian.Uint32(b)))
	}
	if n := len(v.sessions) - m.opt.PerItem; n > 0 { // the limit was lowered
		v.sessions = v.sessions[n:]
	}
	if int(row) >= len(m.items) {
		m.items = append(m.items, make([]visitors, int(row)+1-len(m.items))...)
	}
	m.items[row] = v
	return nil
}

// AppendHead appends the encoding of what belongs to no row: counts, and how the manners have come true.
func (m *Neighbours) AppendHead(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(m.last))
	b = binary.AppendUvarint(b, m.learned)
	b = append(b, byte(m.manner))
	for _, t := range m.trials {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(t.gain))
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(t.square))
	}
	return b
}

// LoadHead is the inverse of AppendHead.
func (m *Neighbours) LoadHead(b []byte) error {
	bad := fmt.Errorf("models: neighbours: %d bytes are no head", len(b))
	if len(b) < 4 {
		return bad
	}
	last := sessionNumber(binary.LittleEndian.Uint32(b))
	learned, n := binary.Uvarint(b[4:])
	if n <= 0 || len(b) != 4+n+1+16*len(manners) || int(b[4+n]) >= len(manners) {
		return bad
	}
	manner := int(b[4+n])
	b = b[4+n+1:]
	var trials [len(manners)]trial
	for k := range trials {
		t := trial{math.Float64frombits(binary.LittleEndian.Uint64(b[16*k:])), math.Float64frombits(binary.LittleEndian.Uint64(b[16*k+8:]))}
		if !(t.square >= 0) || math.IsInf(t.square, 0) || math.IsNaN(t.gain) || math.IsInf(t.gain, 0) {
			return bad
		}
		trials[k] = t
	}
	m.last, m.learned, m.manner, m.trials = max(m.last, last), learned, manner, trials
	return nil
}

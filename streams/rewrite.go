package streams

// rewriting appends the members of a native event, or of an object in it.
type rewriting struct {
	out   []byte
	start int // where the members begin
}

func (w *rewriting) open(before string) {
	w.out = append(w.out, before...)
	w.start = len(w.out)
}

// put appends a member; nothing where the value is null or not there.
func (w *rewriting) put(key string, v Value) {
	if v.Kind() == "null" {
		return
	}
	w.key(key)
	w.out = append(w.out, v...)
}

func (w *rewriting) putText(key, text string) {
	if text != "" {
		w.key(key)
		w.out = AppendJSONString(w.out, text)
	}
}

func (w *rewriting) key(key string) {
	if len(w.out) > w.start {
		w.out = append(w.out, ',')
	}
	w.out = append(AppendJSONString(w.out, key), ':')
}

// object appends a member that is an object, unless members puts nothing into it.
func (w *rewriting) object(key string, always bool, members func(w *rewriting)) {
	before := *w
	w.key(key)
	w.open("{")
	members(w)
	if len(w.out) == w.start && !always {
		w.out, w.start = w.out[:len(before.out)], before.start
		return
	}
	w.out, w.start = append(w.out, '}'), before.start
}

// objectOf reads the text of a record as one JSON object.
func (d *Decoder) objectOf(b []byte) (Props, *Fault) {
	d.fault, d.keys = nil, d.keys[:0]
	p := skipSpace(b, 0)
	end := d.propValue(b, p, 0, &foreignBounds)
	if end >= 0 && skipSpace(b, end) != len(b) {
		end = d.syntax(b, ^skipSpace(b, end))
	}
	if end < 0 {
		return nil, d.fault
	}
	if b[p] != '{' {
		return nil, &Fault{FaultType, "want a JSON object, got " + excerpt(b[p:])}
	}
	return Props(b[p:end]), nil
}

// formatOf tells the format of a record by what only that format has.
func (d *Decoder) formatOf(r *Record, b []byte) Format {
	if hasCloudHeaders(r) {
		return CloudEvents
	}
	whole, f := d.objectOf(b)
	if f != nil {
		return Native // which says what is wrong
	}
	// What a native event must have, and what only the others have: an event of ours may hold fields that we don't know.
	native := 0
	params, kind, format := false, false, Native
	whole.Each(func(key string, v Value) bool {
		switch key {
		case "specversion":
			format = CloudEvents
			return false
		case "id", "time":
			native++
		case "type":
			kind = true
			if name, ok := v.Text(); ok && ParseType(name) != Invalid {
				native++
			}
		case "messageId", "anonymousId", "userId":
			format = Segment
		case "event_name", "event_timestamp", "user_pseudo_id":
			format = GA4
		case "params", "events":
			params = true
		}
		return true
	})
	switch {
	case format == CloudEvents:
		return CloudEvents
	case native == 3:
		return Native
	case format == Native && params && !kind:
		return GA4
	}
	return format
}

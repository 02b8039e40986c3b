package engine

// cache holds the customers of a shard that are in memory: all that changed since the last complete checkpoint, and
// as many others as its budget allows. What is in it changes no result, only how often the store is asked.
type cache struct {
	index index
	all   []*customer // in the order of the hand
	hand  int
	bytes int64
	dirty []*customer // changed since the last checkpoint began
	// dirtyBytes is what those take, as last counted.
	dirtyBytes int64
	pending    []*customer // of the checkpoint in progress, still to be written
	inFlight   []*customer // of the checkpoint in progress, all

	hits, misses int64
}

func (h *cache) get(kind byte, id string) *customer {
	c := h.index.get(kind, id)
	if c == nil {
		h.misses++
		return nil
	}
	h.hits++
	c.marks |= markUsed
	return c
}

func (h *cache) put(c *customer) {
	h.index.put(c)
	c.marks |= markUsed
	c.size = c.memory()
	h.bytes += int64(c.size)
	h.all = append(h.all, c)
}

// trim drops customers that the store holds as they are and that were not used lately, until the cache is within its budget
// or the hand has gone round twice.
func (h *cache) trim(budget int64) {
	for steps := 2 * len(h.all); h.bytes > budget && steps > 0 && len(h.all) > 0; steps-- {
		if h.hand >= len(h.all) {
			h.hand = 0
		}
		c := h.all[h.hand]
		if c.marks&markUsed != 0 {
			c.marks &^= markUsed
			h.resize(c)
			h.hand++
			continue
		}
		if c.marks&(markDirty|markPending|markInFlight) != 0 {
			h.hand++
			continue
		}
		h.bytes -= int64(c.size)
		h.index.delete(c)
		last := len(h.all) - 1
		h.all[h.hand] = h.all[last]
		h.all[last] = nil
		h.all = h.all[:last]
	}
}

func (h *cache) resize(c *customer) {
	n := c.memory()
	h.bytes += int64(n - c.size)
	c.size = n
}

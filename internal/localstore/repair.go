package localstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// fail notes that the disk failed, from when on writes are refused.
func (s *Store) fail(cause error) {
	s.disk.fence.close(cause)
	s.trouble.Store(unavailable(cause))
	s.metrics.failures.Inc()
	s.log.Error("disk failed, writes are refused", "error", cause)
}

// heal refuses what waits, and tries to get the disk back until it works. It
// returns false if the queue is closed before.
func (s *Store) heal() bool {
	start := time.Now()
	failed := s.disk
	result := make(chan healed, 1)
	attempt := func() { go func() { result <- s.tryDisk(failed) }() }
	attempt()
	trying := true
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	for {
		ended := s.refuseWaiting()
		if ended && !trying {
			return false
		}
		select {
		case <-s.queue.ready:
		case <-retry.C:
			attempt()
			trying = true
		case res := <-result:
			trying = false
			s.disk = res.disk
			if res.err == nil {
				s.setReadable(s.disk.db)
			}
			if res.err == nil {
				s.doubt, s.behind = nil, 0
				s.trouble.Store(nil)
				s.log.Info("disk is back, writes are taken", "after", time.Since(start))
				return true
			}
			s.trouble.Store(unavailable(res.err))
			s.log.Warn("disk is not back", "error", res.err)
			failed = nil
			retry.Reset(s.opts.RetryInterval)
		}
	}
}

// refuseWaiting refuses all that waits, and says whether that was the last.
func (s *Store) refuseWaiting() (ended bool) {
	for {
		s.taken, ended = s.queue.take(s.taken[:0], load{})
		if len(s.taken) == 0 {
			return ended
		}
		refuse(s.taken, s.trouble.Load())
	}
}

// healed is what came of an attempt to get the disk back.
type healed struct {
	disk *disk // nil if there is an error
	err  error
}

// tryDisk opens the database again, and makes the keys of the batches that are in
// doubt what memory says they are. It runs while the committer waits, and so
// may read all that is the committer's. It closes the failed disk first, if there is
// one: as long as one of its writes is still on the way, there must not be another.
func (s *Store) tryDisk(failed *disk) healed {
	if failed != nil {
		s.setReadable(nil)
		_ = failed.close() // of an error of which we know
	}
	if err := s.probe(); err != nil {
		return healed{err: err}
	}
	d, err := s.openDisk()
	if err != nil {
		return healed{err: err}
	}
	if err := s.repair(d); err != nil {
		d.fence.close(err)
		return healed{err: errors.Join(err, d.close())}
	}
	return healed{disk: d}
}

// probe finds out whether the disk takes writes, without the database.
func (s *Store) probe() error {
	if err := s.room(); err != nil {
		return err
	}
	name := s.fs.PathJoin(s.dir, "laurel.probe")
	file, err := s.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.Write(make([]byte, 4096))
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close(), s.fs.Remove(name))
}

// repair writes what memory has over the keys of all batches that are in doubt.
func (s *Store) repair(d *disk) error {
	if len(s.doubt) == 0 {
		return nil
	}
	byNumber := make(map[uint32]*board)
	for _, b := range s.boards {
		if !b.deleted {
			byNumber[b.number] = b
		}
	}
	batch := d.db.NewBatch()
	for _, repr := range s.doubt {
		for r := batchrepr.Read(repr); ; {
			kind, key, _, ok, err := r.Next()
			if err != nil {
				return fmt.Errorf("read the batch that failed: %w", err)
			}
			if !ok {
				break
			}
			if kind != pebble.InternalKeyKindSet && kind != pebble.InternalKeyKindDelete {
				continue // entries of a deleted board, which nobody misses
			}
			value, err := s.remembered(key, byNumber)
			if err != nil {
				return err
			}
			if value == nil {
				err = batch.Delete(key, nil)
			} else {
				err = batch.Set(key, value, nil)
			}
			if err != nil {
				return err
			}
		}
	}
	return d.commit(batch, true)
}

// remembered returns what the value of a key is, by what memory says, or nil if
// there is to be none.
func (s *Store) remembered(key []byte, byNumber map[uint32]*board) ([]byte, error) {
	switch key[0] {
	case boardPrefix:
		if b := s.boards[string(key[1:])]; b != nil {
			return appendState(nil, &b.state), nil
		}
	case entryPrefix:
		number, season, member, err := parseEntryKey(key)
		if err != nil {
			return nil, err
		}
		st := byNumber[number].inSeason(season)
		if st == nil || st.ranks == nil {
			return nil, nil
		}
		if e, ok := st.ranks.Get(string(member)); ok {
			return appendEntry(nil, e.Score, e.Seq, st.entryRev(e), st.updated.get(e.Slot), st.data[e.Slot]), nil
		}
	case pastPrefix:
		number, season, err := parseSeasonKey(key)
		if err != nil {
			return nil, err
		}
		if b := byNumber[number]; b != nil {
			if p := b.pastSeason(int(season)); p != nil {
				return appendPast(nil, &p.state, p.final), nil
			}
		}
	case garbagePrefix:
		number, season, err := parseSeasonKey(key)
		if err != nil {
			return nil, err
		}
		if slices.Contains(s.garbage, garbage{number, season}) {
			return []byte{}, nil
		}
	case outboxPrefix:
		return s.outbox.remembered(key)
	case metaPrefix:
		return binary.AppendUvarint(nil, s.acked), nil
	}
	return nil, nil
}

// inSeason returns a season of a board, if there is one.
func (b *board) inSeason(season uint32) *standings {
	if b == nil {
		return nil
	}
	if season == b.season() {
		return b.standings
	}
	if p := b.pastSeason(int(season)); p != nil {
		return p.standings
	}
	return nil
}

// room returns an error if there is too little of it on the disk. A file system
// that does not tell is not looked after.
func (s *Store) room() error {
	if s.opts.MinFree < 0 {
		return nil
	}
	usage, err := s.fs.GetDiskUsage(s.dir)
	enough := err != nil || usage.AvailBytes >= uint64(s.opts.MinFree)
	if enough {
		return nil
	}
	return fmt.Errorf("only %d MiB are free on the disk of %s, and %d are asked for", usage.AvailBytes>>20, s.dir, s.opts.MinFree>>20)
}

// lookForRoom refuses writes while there is too little room. It is better to
// stop while the database can still tidy up than when nothing goes any more.
func (s *Store) lookForRoom() {
	err, was := s.room(), s.full.Load()
	switch {
	case err != nil:
		s.full.Store(unavailable(err))
		if was == nil {
			s.log.Error("disk is nearly full, writes are refused", "error", err)
		}
	case was != nil:
		s.full.Store(nil)
		s.log.Info("disk has room again, writes are taken", "dir", s.dir)
	}
}

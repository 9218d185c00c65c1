package agent

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"cellwarden/agent/flash"
	"cellwarden/agent/outbox"
)

const (
	// memoryBytes is what the outbox may have while its directory cannot be used: some
	// hundred messages. The lowest priority yields first, so what stays is the newest of
	// what is urgent.
	memoryBytes = 256 << 10
	// boxRetry is how often the directory is tried again. A file system that is checked
	// or mounted late is back within minutes.
	boxRetry = time.Minute
	// memoryTag tells the numbers of the store in memory from those of the real one.
	memoryTag = 1 << 62
)

// openBox opens the outbox. A directory that cannot be used never stops the agent: it
// diagnoses and meters, keeps the newest urgent messages in memory, and why says what is
// wrong. Another agent that holds the directory does stop it.
func (o Options) openBox() (box *outbox.Outbox, found outbox.Report, why, err error) {
	box, found, why = o.openReal()
	if why == nil || errors.Is(why, flash.ErrLocked) {
		return box, found, nil, why
	}
	box, found, err = outbox.Open("/outbox", outbox.Options{FS: flash.NewMemory(), CapBytes: memoryBytes})
	return box, found, inMemory(why), err
}

// openReal opens the outbox on the flash.
func (o Options) openReal() (*outbox.Outbox, outbox.Report, error) {
	return outbox.Open(filepath.Join(o.Config.Store.Dir, "outbox"), outbox.Options{CapBytes: o.Config.Store.OutboxBytes, Prealloc: true})
}

func inMemory(why error) error { return fmt.Errorf("messages are kept in memory only: %w", why) }

// move has the queue use box from now on and takes over what it holds in memory. What
// the uplink has under way goes again, under the new store's numbers. It is called by
// the loop.
func (q *queue) move(box *outbox.Outbox) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	old := q.box
	_ = old.Commit() // in memory
	old.ReleaseAll()
	for {
		records := old.Peek(outbox.CommitRecords, memoryBytes)
		if len(records) == 0 {
			break
		}
		for _, r := range records {
			if _, err := box.Append(r.Priority, r.At, r.Payload); err != nil {
				return err
			}
		}
		if err := box.Commit(); err != nil {
			return err // what was taken over so far is acked and not given twice
		}
		for _, r := range records {
			_ = old.Ack(r.Seq) // in memory
		}
	}
	q.box, q.lost, q.tag = box, nil, 0
	_ = old.Close()
	return nil
}

// retryBox tries the outbox's directory again.
func (l *loop) retryBox(now time.Duration) {
	if l.queue.lost == nil || now < l.boxAt {
		return
	}
	l.boxAt = now + boxRetry
	box, found, err := l.openReal()
	if err == nil {
		if err = l.queue.move(box); err != nil {
			_ = box.Close()
		}
	}
	if err != nil {
		l.queue.lost = inMemory(err)
		l.troubles.file("store", l.queue.lost, l.hw.Now())
		return
	}
	l.log.Info("the outbox can be used again", "found", found.String())
	l.bootWall = time.Time{} // the store is told anew when this boot began
	l.commit()
}

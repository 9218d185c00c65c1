package main

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"
)

type buffer struct {
	sync.Mutex
	bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.Lock()
	defer b.Unlock()
	return b.Buffer.Write(p)
}

// Five cards of one pool become five alerts and one group, in both languages.
func TestDemoTellsOfThePool(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out buffer
	if err := run(ctx, &out, "127.0.0.1:0", true); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	if strings.Count(got, "webhook alert.raised") < 5 || !strings.Contains(got, "webhook group.raised") || !strings.Contains(got, "5 台设备") || !strings.Contains(got, "5 devices") {
		t.Errorf("it printed\n%s", got)
	}
}

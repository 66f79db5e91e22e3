package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// group is what errgroup.WithContext is made of: a context, a count, and the first error cancels.
type group struct {
	all    sync.WaitGroup
	once   sync.Once
	err    error
	ctx    context.Context
	cancel context.CancelFunc
}

func newGroup() *group {
	g := new(group)
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

func (g *group) spawn(f func(context.Context) error) {
	g.all.Add(1)
	go func() {
		defer g.all.Done()
		if err := f(g.ctx); err != nil {
			g.once.Do(func() {
				g.err = err
				g.cancel()
			})
		}
	}()
}

func (g *group) wait() error {
	g.all.Wait()
	g.cancel()
	return g.err
}

// ---- scope: n goroutines that do nothing, in a group

func doNothing(context.Context) error { return nil }

func openAndClose(n int) {
	g := newGroup()
	for i := 0; i < n; i++ {
		g.spawn(doNothing)
	}
	g.wait()
}

func scope(n int) {
	openAndClose(n)
	begun, batches := time.Now(), 0
	for time.Since(begun) < budget() || batches == 0 {
		openAndClose(n)
		batches++
	}
	report("scope", float64(time.Since(begun))/float64(batches*n), "ns")
}

// ---- cancel: n goroutines wait for the end of the group's context

func cancel(n int) {
	var asleep int64
	g := newGroup()
	for i := 0; i < n; i++ {
		g.spawn(func(ctx context.Context) error {
			atomic.AddInt64(&asleep, 1)
			<-ctx.Done()
			return nil
		})
	}
	for atomic.LoadInt64(&asleep) < int64(n) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond)
	begun := time.Now()
	g.cancel()
	g.wait()
	report("cancel", float64(time.Since(begun))/float64(n), "ns")
}

package main

import (
	"math/rand"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// ---- parked: n goroutines that wait for one channel

func parked(n int) {
	gate := make(chan struct{})
	var arrived int64
	var all sync.WaitGroup
	all.Add(n)
	runtime.GC()
	before, begun := memory(), time.Now()
	for i := 0; i < n; i++ {
		go func() {
			atomic.AddInt64(&arrived, 1)
			<-gate
			all.Done()
		}()
	}
	for atomic.LoadInt64(&arrived) < int64(n) {
		runtime.Gosched()
	}
	report("parked-create", float64(time.Since(begun))/1e3/float64(n), "us")
	report("parked-bytes", float64(memory()-before)/float64(n), "bytes")
	close(gate)
	all.Wait()
}

// ---- sleepers: n goroutines asleep until a common start and up to 1 s more

const exitLateStart = 3

func sleepers(n int) {
	deadlines, late := make([]time.Duration, n), make([]time.Duration, n)
	for i := range deadlines {
		deadlines[i] = time.Duration(rand.Int63n(int64(time.Second)))
	}
	start := time.Now().Add(milliseconds("BENCH_LEAD_MS", 500))
	var lateStart atomic.Bool
	var all sync.WaitGroup
	all.Add(n)
	for i := 0; i < n; i++ {
		go func(i int) {
			deadline := start.Add(deadlines[i])
			if !time.Now().Before(start) {
				lateStart.Store(true)
			}
			time.Sleep(time.Until(deadline))
			late[i] = time.Since(deadline)
			all.Done()
		}(i)
	}
	all.Wait()
	if lateStart.Load() {
		os.Exit(exitLateStart)
	}
	report("sleepers-p99", quantile(late, 0.99), "ms")
}

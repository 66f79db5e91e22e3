package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// ---- spawn: n goroutines that do nothing, then one wait for all of them

func nothing(all *sync.WaitGroup) { all.Done() }

func spawnAndWait(n int) {
	var all sync.WaitGroup
	all.Add(n)
	for i := 0; i < n; i++ {
		go nothing(&all)
	}
	all.Wait()
}

func spawn(n int) {
	spawnAndWait(n)
	begun, batches := time.Now(), 0
	for time.Since(begun) < budget() || batches == 0 {
		spawnAndWait(n)
		batches++
	}
	report("spawn", float64(time.Since(begun))/float64(batches*n), "ns")
}

// ---- yield: a ring of n goroutines that yield

func yield(n int) {
	each := 2000000 / n
	if each < 4 {
		each = 4
	}
	var arrived, finished int64
	var begun, ended time.Time
	gate := make(chan struct{})
	var all sync.WaitGroup
	all.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			<-gate
			if atomic.AddInt64(&arrived, 1) == int64(n) {
				begun = time.Now()
			}
			for atomic.LoadInt64(&arrived) < int64(n) {
				runtime.Gosched()
			}
			for i := 0; i < each; i++ {
				runtime.Gosched()
			}
			if atomic.AddInt64(&finished, 1) == int64(n) {
				ended = time.Now()
			}
			all.Done()
		}()
	}
	close(gate)
	all.Wait()
	report("yield", float64(ended.Sub(begun))/float64(each*n), "ns")
}

// ---- forkjoin: fib(n), one goroutine and one direct call a call

func fib(n int) int {
	if n < 2 {
		return n
	}
	var x int
	var child sync.WaitGroup
	child.Add(1)
	go func() {
		x = fib(n - 1)
		child.Done()
	}()
	y := fib(n - 2)
	child.Wait()
	return x + y
}

// How many calls of fib(n) start a goroutine.
func fibSpawns(n int) int {
	if n < 2 {
		return 0
	}
	return 1 + fibSpawns(n-1) + fibSpawns(n-2)
}

func forkjoin(n int) {
	spawns := fibSpawns(n)
	fib(n - 7)
	begun := time.Now()
	if fib(n) != fibSpawns(n-1)+1 {
		fail("fib is wrong")
	}
	report("forkjoin", float64(time.Since(begun))/float64(spawns), "ns")
}

// ---- skynet: n leaves, ten children each, the sum of their numbers

const children = 10

// As the program was published: results come through a channel.
func skynetChannel(result chan<- int, first, count int) {
	if count == 1 {
		result <- first
		return
	}
	results := make(chan int)
	for i := 0; i < children; i++ {
		go skynetChannel(results, first+i*(count/children), count/children)
	}
	sum := 0
	for i := 0; i < children; i++ {
		sum += <-results
	}
	result <- sum
}

func skynet(n int) {
	skynetTimed(n, func(n int) int {
		result := make(chan int)
		go skynetChannel(result, 0, n)
		return <-result
	})
}

// With a WaitGroup and a place for each child's result.
func skynetWait(result *int, done *sync.WaitGroup, first, count int) {
	defer done.Done()
	if count == 1 {
		*result = first
		return
	}
	var results [children]int
	var all sync.WaitGroup
	all.Add(children)
	for i := range results {
		go skynetWait(&results[i], &all, first+i*(count/children), count/children)
	}
	all.Wait()
	for _, r := range results {
		*result += r
	}
}

func skynetJoin(n int) {
	skynetTimed(n, func(n int) (result int) {
		var all sync.WaitGroup
		all.Add(1)
		go skynetWait(&result, &all, 0, n)
		all.Wait()
		return
	})
}

func skynetTimed(n int, run func(int) int) {
	run(n / 10)
	begun := time.Now()
	if run(n) != n*(n-1)/2 {
		fail("skynet's sum is wrong")
	}
	report("skynet", float64(time.Since(begun))/1e6, "ms")
}

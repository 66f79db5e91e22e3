package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// Locks and the like. A semaphore is a buffered channel, an event a channel that is closed, as Go's documentation teaches;
// a barrier is a mutex and a condition, since Go has none.

type member struct {
	number, done int
	work         uint64 // its result, so that no compiler drops it
	_            [64]byte
}

// n goroutines do the same until the budget is used up; the nanoseconds of one time.
func crew(metric string, n int, loop func(m *member, stop *atomic.Bool)) {
	var stop atomic.Bool
	var arrived, gone sync.WaitGroup
	open := make(chan struct{})
	members := make([]member, n)
	arrived.Add(n)
	gone.Add(n)
	for i := range members {
		members[i].number = i
		go func(m *member) {
			arrived.Done()
			<-open
			loop(m, &stop)
			gone.Done()
		}(&members[i])
	}
	arrived.Wait()
	begun := time.Now()
	close(open)
	time.Sleep(budget())
	stop.Store(true)
	gone.Wait()
	took, done := time.Since(begun), 0
	for i := range members {
		done += members[i].done
	}
	report(metric, float64(took)/float64(done), "ns")
}

// Steps of work that take so long here and now.
func workSteps(long time.Duration) uint64 {
	const probe = 20000000
	begun := time.Now()
	atomic.AddUint64(&workResult, work(probe))
	return uint64(float64(probe) * float64(long) / float64(time.Since(begun)))
}

func lock(metric string, n int, inside time.Duration) {
	var mutex sync.Mutex
	steps := workSteps(inside)
	crew(metric, n, func(m *member, stop *atomic.Bool) {
		for !stop.Load() {
			for i := 0; i < 16; i++ {
				mutex.Lock()
				if steps > 0 {
					m.work += work(steps)
				}
				mutex.Unlock()
			}
			m.done += 16
		}
	})
}

var words [4]int

func rwlock(n int) {
	var mutex sync.RWMutex
	crew("rwlock", n, func(m *member, stop *atomic.Bool) {
		sum := 0
		for !stop.Load() {
			for i := 0; i < 10; i++ {
				if (m.done+m.number*100)%1000 == 999 {
					mutex.Lock()
					for w := range words {
						words[w]++
					}
					mutex.Unlock()
				} else {
					mutex.RLock()
					for w := range words {
						sum += words[w]
					}
					mutex.RUnlock()
				}
				m.done++
			}
		}
		if sum < 0 {
			fail("a sum of what only grows")
		}
	})
}

func cond(int) {
	var mutex sync.Mutex
	changed := [2]*sync.Cond{sync.NewCond(&mutex), sync.NewCond(&mutex)}
	turn := 0
	crew("cond", 2, func(m *member, stop *atomic.Bool) {
		me := m.number
		mutex.Lock()
		for !stop.Load() {
			for turn != me && !stop.Load() {
				changed[me].Wait()
			}
			turn = 1 - me
			m.done += me
			changed[1-me].Signal()
		}
		mutex.Unlock()
	})
}

func sem(n int) {
	places := make(chan struct{}, (n+1)/2)
	crew("sem", n, func(m *member, stop *atomic.Bool) {
		for !stop.Load() {
			for i := 0; i < 16; i++ {
				places <- struct{}{}
				<-places
			}
			m.done += 16
		}
	})
}

type barrier struct {
	mutex      sync.Mutex
	complete   *sync.Cond
	n, here    int
	generation int
}

func (b *barrier) meet() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.here++
	if b.here == b.n {
		b.here = 0
		b.generation++
		b.complete.Broadcast()
		return
	}
	for mine := b.generation; mine == b.generation; {
		b.complete.Wait()
	}
}

func barrierRounds(n, rounds int) time.Duration {
	b := &barrier{n: n}
	b.complete = sync.NewCond(&b.mutex)
	open := make(chan struct{})
	var arrived, gone sync.WaitGroup
	arrived.Add(n)
	gone.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			arrived.Done()
			<-open
			for r := 0; r < rounds; r++ {
				b.meet()
			}
			gone.Done()
		}()
	}
	arrived.Wait()
	begun := time.Now()
	close(open)
	gone.Wait()
	return time.Since(begun)
}

func barriers(n int) {
	barrierRounds(n, 10)
	rounds := 200
	if n < 100 {
		rounds = 100000 / n
	}
	report("barrier", float64(barrierRounds(n, rounds))/float64(rounds*n), "ns")
}

func event(n int) {
	fired := make(chan struct{})
	var arrived, gone sync.WaitGroup
	arrived.Add(n)
	gone.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			arrived.Done()
			<-fired
			gone.Done()
		}()
	}
	arrived.Wait()
	time.Sleep(200 * time.Millisecond)
	begun := time.Now()
	close(fired)
	gone.Wait()
	report("event", float64(time.Since(begun))/float64(n), "ns")
}

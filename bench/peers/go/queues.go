package main

import (
	"container/heap"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Channels. The first and the last word of an item carry its number.

type shape struct{ putters, getters, item, capacity int }

func number(variable string, otherwise int) int {
	if text := os.Getenv(variable); text != "" {
		n, err := strconv.Atoi(text)
		check(err)
		return n
	}
	return otherwise
}

func shapeGiven() shape {
	return shape{number("BENCH_PUTTERS", 4), number("BENCH_GETTERS", 4), number("BENCH_ITEM", 8),
		number("BENCH_CAPACITY", 1024)}
}

// Tells goroutines to stop when the budget is used up.
func stopper() *atomic.Bool {
	stop := new(atomic.Bool)
	time.AfterFunc(budget(), func() { stop.Store(true) })
	return stop
}

type item interface {
	[1]uint64 | [8]uint64 | [128]uint64
}

func put[T item](c chan<- T, stop *atomic.Bool, from uint64, most int) (sum uint64) {
	var v T
	for done := 0; done < most && !stop.Load(); done += 16 {
		for i := 0; i < 16; i++ {
			from++
			v[0], v[len(v)-1] = from, from
			sum += from
			c <- v
		}
	}
	return
}

func get[T item](c <-chan T) (sum uint64, done int) {
	for v := range c {
		sum += v[0]
		done++
		if v[0] != v[len(v)-1] {
			fail("half an item")
		}
	}
	return
}

func queueOf[T item](s shape, most int) {
	c := make(chan T, s.capacity)
	var sum, got uint64
	var putters, getters sync.WaitGroup
	putters.Add(s.putters)
	getters.Add(s.getters)
	stop, begun := stopper(), time.Now()
	for i := 0; i < s.getters; i++ {
		go func() {
			got1, done := get(c)
			atomic.AddUint64(&sum, -got1)
			atomic.AddUint64(&got, uint64(done))
			getters.Done()
		}()
	}
	for i := 0; i < s.putters; i++ {
		go func(i int) {
			atomic.AddUint64(&sum, put(c, stop, uint64(i)<<40, most/s.putters))
			putters.Done()
		}(i)
	}
	putters.Wait()
	close(c)
	getters.Wait()
	took := time.Since(begun)
	if sum != 0 {
		fail("got not what was put")
	}
	report("queue", float64(took)/float64(got), "ns")
}

func queue(most int) {
	s := shapeGiven()
	switch s.item {
	case 8:
		queueOf[[1]uint64](s, most)
	case 64:
		queueOf[[8]uint64](s, most)
	default:
		queueOf[[128]uint64](s, most)
	}
}

func pingpong(int) {
	there, back := make(chan uint64), make(chan uint64)
	go func() {
		for ball := range there {
			back <- ball + 1
		}
	}()
	done := make(chan uint64)
	stop, begun := stopper(), time.Now()
	go func() {
		ball := uint64(0)
		for !stop.Load() {
			there <- ball
			ball = <-back
		}
		close(there)
		done <- ball
	}()
	trips := <-done
	report("pingpong", float64(time.Since(begun))/float64(trips), "ns")
}

// Go has no unbounded channel, so this one has room for all.
func queueFill(n int) {
	c := make(chan uint64, n)
	begun, done := time.Now(), 0
	for time.Since(begun) < budget() || done == 0 {
		for i := 0; i < 1000; i += n {
			for j := 0; j < n; j++ {
				c <- uint64(j)
			}
			for j := 0; j < n; j++ {
				if <-c != uint64(j) {
					fail("a channel out of order")
				}
			}
			done += n
		}
	}
	report("queue-fill", float64(time.Since(begun))/float64(done), "ns")
}

// ---- queue-priority: container/heap under a mutex, its interface as its documentation shows

type numbers []uint64

func (h numbers) Len() int           { return len(h) }
func (h numbers) Less(i, j int) bool { return h[i] < h[j] }
func (h numbers) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *numbers) Push(x any)        { *h = append(*h, x.(uint64)) }
func (h *numbers) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

type priorityQueue struct {
	mutex   sync.Mutex
	numbers numbers
}

func (q *priorityQueue) put(x uint64) {
	q.mutex.Lock()
	heap.Push(&q.numbers, x)
	q.mutex.Unlock()
}

func (q *priorityQueue) get() uint64 {
	q.mutex.Lock()
	x := heap.Pop(&q.numbers).(uint64)
	q.mutex.Unlock()
	return x
}

func xorshift(state *uint64) uint64 {
	*state ^= *state << 13
	*state ^= *state >> 7
	*state ^= *state << 17
	return *state
}

func queuePriority(n int) {
	const span = 1<<32 - 1
	var q priorityQueue
	seed, least := uint64(88172645463325252), uint64(0)
	for i := 0; i < n; i++ {
		q.put(xorshift(&seed) % span)
	}
	begun, done := time.Now(), 0
	for time.Since(begun) < budget() {
		for i := 0; i < 100; i++ {
			got := q.get()
			if got < least {
				fail("a heap out of order")
			}
			least = got
			q.put(least + xorshift(&seed)%span)
		}
		done += 100
	}
	report("queue-priority", float64(time.Since(begun))/float64(done), "ns")
}

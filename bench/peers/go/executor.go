package main

import (
	"runtime"
	"time"
)

// ---- executor: n tasks are submitted, then each result is taken; a result comes by a channel of its own

type job struct {
	fn     func(int) int
	arg    int
	result chan int
}

func (j job) run() { j.result <- j.fn(j.arg) }

// A pool as Go's documentation shows it: workers that range over a channel of jobs.
func pool() chan<- job {
	jobs := make(chan job, 1024)
	for i := 0; i < runtime.GOMAXPROCS(0); i++ {
		go func() {
			for j := range jobs {
				j.run()
			}
		}()
	}
	return jobs
}

func empty(arg int) int { return arg }

func compute(ns int) int {
	for end := time.Now().Add(time.Duration(ns)); time.Now().Before(end); {
	}
	return 0
}

func executor(metric string, n int, fn func(int) int, arg int, submit func(job)) {
	results := make([]chan int, n)
	batch := func() {
		for i := range results {
			results[i] = make(chan int, 1)
			submit(job{fn, arg, results[i]})
		}
		for _, result := range results {
			<-result
		}
	}
	batch()
	begun, batches := time.Now(), 0
	for time.Since(begun) < budget() || batches == 0 {
		batch()
		batches++
	}
	report(metric, float64(time.Since(begun).Nanoseconds())/float64(batches*n), "ns")
}

func byPool(metric string, fn func(int) int, arg int) func(n int) {
	return func(n int) {
		jobs := pool()
		executor(metric, n, fn, arg, func(j job) { jobs <- j })
		close(jobs)
	}
}

func byGoroutine(metric string, fn func(int) int, arg int) func(n int) {
	return func(n int) { executor(metric, n, fn, arg, func(j job) { go j.run() }) }
}

// n is the chunk.
func executorMap(n int) {
	const items = 100000
	jobs := pool()
	numbers := make([]int, items)
	for i := range numbers {
		numbers[i] = i
	}
	begun, rounds := time.Now(), 0
	for time.Since(begun) < budget() || rounds == 0 {
		all := make([]int, items)
		var results []chan int
		for first := 0; first < items; first += n {
			last := first + n
			if last > items {
				last = items
			}
			result := make(chan int, 1)
			results = append(results, result)
			jobs <- job{func(first int) int {
				for i := first; i < last; i++ {
					all[i] = empty(numbers[i])
				}
				return 0
			}, first, result}
		}
		sum, at := 0, 0
		for _, result := range results {
			<-result
			for last := at + n; at < last && at < items; at++ {
				sum += all[at]
			}
		}
		if sum != items*(items-1)/2 {
			fail("the map's sum")
		}
		rounds++
	}
	close(jobs)
	report("executor-map", float64(time.Since(begun).Nanoseconds())/float64(rounds*items), "ns")
}

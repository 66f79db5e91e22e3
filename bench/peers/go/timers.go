package main

import (
	"math/rand"
	"sync/atomic"
	"time"
)

// Timers that are started and cancelled, while as many others are pending. In order each start is a new timer, by
// time.AfterFunc; in a random order the timers are there and are started again, by Reset.

var (
	fired atomic.Int64
	seed  = uint64(88172645463325252)
)

func fire() { fired.Add(1) }

func someTime() time.Duration { return 1000*time.Second + time.Duration(xorshift(&seed)%1e12) }

func newTimers(n int) []*time.Timer {
	timers := make([]*time.Timer, n)
	startTimers(timers)
	return timers
}

func startTimers(timers []*time.Timer) {
	for i := range timers {
		timers[i] = time.AfterFunc(someTime(), fire)
	}
}

func resetTimers(timers []*time.Timer) {
	for _, t := range timers {
		t.Reset(someTime())
	}
}

func stopTimers(timers []*time.Timer) {
	for _, t := range timers {
		if !t.Stop() {
			fail("a timer was not pending")
		}
	}
}

func timersBy(start func([]*time.Timer), timers []*time.Timer, name string) {
	others := newTimers(len(timers))
	start(timers)
	stopTimers(timers)
	var started, stopped time.Duration
	rounds := 0
	for rounds == 0 || started+stopped < budget() {
		begun := time.Now()
		start(timers)
		between := time.Now()
		stopTimers(timers)
		started += between.Sub(begun)
		stopped += time.Since(between)
		rounds++
	}
	stopTimers(others)
	if fired.Load() != 0 {
		fail("a stopped timer fired")
	}
	report(name+"-start", float64(started)/float64(rounds*len(timers)), "ns")
	report(name+"-cancel", float64(stopped)/float64(rounds*len(timers)), "ns")
}

func timers(n int) { timersBy(startTimers, make([]*time.Timer, n), "timers") }

func timersRandom(n int) {
	timers := newTimers(n)
	stopTimers(timers)
	rand.Shuffle(n, func(i, j int) { timers[i], timers[j] = timers[j], timers[i] })
	timersBy(resetTimers, timers, "timers-random")
}

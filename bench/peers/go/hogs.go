package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// ---- slice: two goroutines that only compute, against one that does as much

type span struct {
	steps        uint64
	begun, ended time.Time
}

var workResult uint64

//go:noinline
func work(steps uint64) uint64 {
	x := uint64(1)
	for i := uint64(0); i < steps; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

func (s *span) run(done *sync.WaitGroup) {
	s.begun = time.Now()
	atomic.AddUint64(&workResult, work(s.steps))
	s.ended = time.Now()
	done.Done()
}

// Runs the spans at once and returns from the first begin to the last end.
func extent(spans ...*span) time.Duration {
	var all sync.WaitGroup
	all.Add(len(spans))
	for _, s := range spans {
		go s.run(&all)
	}
	all.Wait()
	begun, ended := spans[0].begun, spans[0].ended
	for _, s := range spans {
		if s.begun.Before(begun) {
			begun = s.begun
		}
		if s.ended.After(ended) {
			ended = s.ended
		}
	}
	return ended.Sub(begun)
}

// Two kinds alternate and the best of each counts. The slice is the runtime's own, 10 ms.
func slice(int) {
	const rounds, probe = 7, 20000000
	begun := time.Now()
	atomic.AddUint64(&workResult, work(probe))
	steps := uint64(probe * float64(budget()/2) / float64(time.Since(begun)))
	bestPair, bestAlone := time.Hour, time.Hour
	for i := 0; i < rounds; i++ {
		a, b, both := span{steps: steps}, span{steps: steps}, span{steps: 2 * steps}
		if took := extent(&a, &b); took < bestPair {
			bestPair = took
		}
		if !a.ended.After(b.begun) || !b.ended.After(a.begun) {
			fail("no preemption: one ran after the other")
		}
		if took := extent(&both); took < bestAlone {
			bestAlone = took
		}
	}
	report("slice", 100*(float64(bestPair)/float64(bestAlone)-1), "%")
}

// ---- convoy: echo over two pipes beside hogs

func hog(stop *atomic.Bool) {
	for !stop.Load() {
	}
}

var kept atomic.Value

func hogMalloc(stop *atomic.Bool) {
	for i := 0; !stop.Load(); i++ {
		p := make([]byte, 0, 64+i%960)
		kept.Store(fmt.Appendf(p, "hog %d: %f", i, float64(i)/3))
	}
}

func echo(in, out *os.File) {
	var buffer [64]byte
	for {
		n, err := in.Read(buffer[:])
		if err == io.EOF {
			return
		}
		check(err)
		_, err = out.Write(buffer[:n])
		check(err)
	}
}

func roundTrips(in, out *os.File) []time.Duration {
	const enough, warmUp, shortest, longest = 2000, 3, time.Second, 3 * time.Second
	var took []time.Duration
	message, answer := make([]byte, 64), make([]byte, 64)
	copy(message, "echo")
	start := time.Now()
	for i := 0; ; i++ {
		begun := time.Now()
		if t := begun.Sub(start); t > longest || t > shortest && len(took) >= enough {
			return took
		}
		_, err := out.Write(message)
		check(err)
		_, err = io.ReadFull(in, answer)
		check(err)
		if string(message) != string(answer) {
			fail("the echo is not what was sent")
		}
		if i >= warmUp {
			took = append(took, time.Since(begun))
		}
	}
}

func convoy(hogs int, hog func(stop *atomic.Bool)) {
	thereIn, thereOut, err := os.Pipe()
	check(err)
	backIn, backOut, err := os.Pipe()
	check(err)
	var stop atomic.Bool
	for i := 0; i < hogs; i++ {
		go hog(&stop)
	}
	go echo(thereIn, backOut)
	result := make(chan []time.Duration)
	go func() { result <- roundTrips(backIn, thereOut) }()
	took := <-result
	stop.Store(true)
	if len(took) == 0 {
		fail("no round trip within 3 s")
	}
	report("convoy-p50", quantile(took, 0.5), "ms")
	report("convoy", quantile(took, 0.99), "ms")
}

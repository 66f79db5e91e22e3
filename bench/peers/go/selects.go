package main

import (
	"sync/atomic"
	"time"
)

// ---- select: n channels, a putter each, and one that gets from all. The statement's cases are written out: a select over a
// slice of channels goes through reflection and takes nearly twice as long.

type tally struct {
	sum  uint64
	done int
	open int
}

// Whoever gets from a channel that is closed sets it to nil, so that it is not chosen again.
func (t *tally) got(v uint64, ok bool, c *chan uint64) {
	if !ok {
		*c = nil
		t.open--
		return
	}
	t.sum += v
	t.done++
}

func getFrom2(c []chan uint64, t *tally) {
	a, b := c[0], c[1]
	for t.open > 0 {
		select {
		case v, ok := <-a:
			t.got(v, ok, &a)
		case v, ok := <-b:
			t.got(v, ok, &b)
		}
	}
}

func getFrom8(c []chan uint64, t *tally) {
	a, b, d, e, f, g, h, i := c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]
	for t.open > 0 {
		select {
		case v, ok := <-a:
			t.got(v, ok, &a)
		case v, ok := <-b:
			t.got(v, ok, &b)
		case v, ok := <-d:
			t.got(v, ok, &d)
		case v, ok := <-e:
			t.got(v, ok, &e)
		case v, ok := <-f:
			t.got(v, ok, &f)
		case v, ok := <-g:
			t.got(v, ok, &g)
		case v, ok := <-h:
			t.got(v, ok, &h)
		case v, ok := <-i:
			t.got(v, ok, &i)
		}
	}
}

func selects(n int) {
	var put uint64
	channels, stop, done := make([]chan uint64, n), stopper(), make(chan *tally)
	begun := time.Now()
	for i := range channels {
		c := make(chan uint64, shapeGiven().capacity)
		channels[i] = c
		go func(v uint64) {
			sum := uint64(0)
			for i := 0; i%16 != 0 || !stop.Load(); i++ {
				v++
				c <- v
				sum += v
			}
			atomic.AddUint64(&put, sum)
			close(c)
		}(uint64(i) << 40)
	}
	go func() {
		t := &tally{open: n}
		if n == 2 {
			getFrom2(channels, t)
		} else {
			getFrom8(channels, t)
		}
		done <- t
	}()
	t := <-done
	took := time.Since(begun)
	if t.sum != atomic.LoadUint64(&put) {
		fail("got not what was put")
	}
	report("select", float64(took)/float64(t.done), "ns")
}

// ---- sieve, as the Go authors published it: nobody ends

func generate(c chan<- int) {
	for i := 2; ; i++ {
		c <- i
	}
}

func filter(in <-chan int, out chan<- int, prime int) {
	for {
		if i := <-in; i%prime != 0 {
			out <- i
		}
	}
}

func isPrime(i int) bool {
	for d := 2; d*d <= i; d++ {
		if i%d == 0 {
			return false
		}
	}
	return true
}

func primeOf(n int) (i int) {
	for i = 1; n > 0; {
		if i++; isPrime(i) {
			n--
		}
	}
	return
}

func sieve(n int) {
	begun, prime := time.Now(), 0
	last := make(chan int)
	go func() {
		c := make(chan int)
		go generate(c)
		for i := 0; i < n; i++ {
			prime := <-c
			if i == n-1 {
				last <- prime
			}
			next := make(chan int)
			go filter(c, next, prime)
			c = next
		}
	}()
	prime = <-last
	took := time.Since(begun)
	if prime != primeOf(n) {
		fail("%d is not that prime", prime)
	}
	report("sieve", float64(took)/1e6, "ms")
}

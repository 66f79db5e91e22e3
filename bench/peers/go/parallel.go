package main

import (
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// What is computed is said in bench/common/work.h.

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// ---- nqueens

const queensDepth = 5

type board struct {
	columns, left, right uint32
	row, size            int
}

func (b board) free() uint32 { return (1<<b.size - 1) &^ (b.columns | b.left | b.right) }

func (b board) place(bit uint32) board {
	return board{b.columns | bit, (b.left | bit) << 1, (b.right | bit) >> 1, b.row + 1, b.size}
}

func queensAlone(b board) int { return queensBelow(1<<b.size-1, b.columns, b.left, b.right) }

// Of a board just what changes below.
func queensBelow(all, columns, left, right uint32) int {
	if columns == all {
		return 1
	}
	count := 0
	for free := all &^ (columns | left | right); free != 0; free &= free - 1 {
		bit := free & -free
		count += queensBelow(all, columns|bit, (left|bit)<<1, (right|bit)>>1)
	}
	return count
}

func queens(b board) int {
	if b.row >= queensDepth {
		return queensAlone(b)
	}
	results := make([]int, bits.OnesCount32(b.free()))
	var all sync.WaitGroup
	all.Add(len(results))
	for i, free := 0, b.free(); free != 0; i, free = i+1, free&(free-1) {
		go func(result *int, next board) {
			*result = queens(next)
			all.Done()
		}(&results[i], b.place(free&-free))
	}
	all.Wait()
	count := 0
	for _, result := range results {
		count += result
	}
	return count
}

func nqueens(n int) {
	solutions := queensAlone(board{size: n})
	timed("nqueens", 1e6, "ms", func() bool { return queens(board{size: n}) == solutions })
}

// The second of two runs; the time is divided by `by`.
func timed(metric string, by float64, unit string, run func() bool) {
	var took time.Duration
	for i := 0; i < 2; i++ {
		begun := time.Now()
		right := run()
		took = time.Since(begun)
		if !right {
			fail("%s is wrong", metric)
		}
	}
	report(metric, float64(took)/by, unit)
}

// ---- uts

func childrenOf(node uint64, depth int) int {
	if depth == 0 {
		return 0
	}
	u, t, n := float64(mix(node)>>11)/(1<<53), 0.8, 0
	for u < t && n < 100 {
		n++
		t *= 0.8
	}
	return n
}

func child(node uint64, i int) uint64 { return mix(node*128 + uint64(i) + 1) }

func treeAlone(node uint64, depth int) int {
	nodes, n := 1, childrenOf(node, depth)
	for i := 0; i < n; i++ {
		nodes += treeAlone(child(node, i), depth-1)
	}
	return nodes
}

func tree(node uint64, depth int) int {
	n := childrenOf(node, depth)
	if n == 0 {
		return 1
	}
	results := make([]int, n)
	var all sync.WaitGroup
	all.Add(n)
	for i := range results {
		go func(result *int, node uint64) {
			*result = tree(node, depth-1)
			all.Done()
		}(&results[i], child(node, i))
	}
	all.Wait()
	nodes := 1
	for _, result := range results {
		nodes += result
	}
	return nodes
}

func uts(depth int) {
	nodes := treeAlone(19, depth)
	timed("uts", float64(nodes), "ns", func() bool { return tree(19, depth) == nodes })
}

// ---- matmul

func multiplyBlock(c, a, b []float64, n, stride int) {
	for i := 0; i < n; i++ {
		row := c[i*stride : i*stride+n]
		for k := 0; k < n; k++ {
			x, other := a[i*stride+k], b[k*stride:k*stride+n]
			for j := range row {
				row[j] += x * other[j]
			}
		}
	}
}

func multiply(c, a, b []float64, n, stride int) {
	if n <= 64 {
		multiplyBlock(c, a, b, n, stride)
		return
	}
	h := n / 2
	down := h * stride
	for half := 0; half < 2; half++ {
		x, y := a[half*h:], b[half*down:]
		var all sync.WaitGroup
		all.Add(3)
		part := func(c, a, b []float64) {
			multiply(c, a, b, h, stride)
			all.Done()
		}
		go part(c[h:], x, y[h:])
		go part(c[down:], x[down:], y)
		go part(c[down+h:], x[down:], y[h:])
		multiply(c, x, y, h, stride)
		all.Wait()
	}
}

func matrix(n int, seed uint64) []float64 {
	m := make([]float64, n*n)
	for i := range m {
		m[i] = float64(mix(seed+uint64(i)) % 8)
	}
	return m
}

// Freivalds: c x = a (b x).
func productIsRight(c, a, b []float64, n int) bool {
	times := func(m, x []float64) []float64 {
		y := make([]float64, n)
		for i := range y {
			for j, v := range x {
				y[i] += m[i*n+j] * v
			}
		}
		return y
	}
	x := make([]float64, n)
	for i := range x {
		x[i] = float64(mix(uint64(i)+99) % 4)
	}
	left, right := times(c, x), times(a, times(b, x))
	for i := range left {
		if left[i] != right[i] {
			return false
		}
	}
	return true
}

func matmul(n int) {
	a, b := matrix(n, 1), matrix(n, 1<<30)
	var took time.Duration
	for i := 0; i < 2; i++ {
		c := make([]float64, n*n)
		begun := time.Now()
		multiply(c, a, b, n, n)
		took = time.Since(begun)
		if !productIsRight(c, a, b, n) {
			fail("matmul is wrong")
		}
	}
	report("matmul", float64(took)/1e6, "ms")
}

// ---- Loops: a goroutine a processor; chunks off a counter, or a part each where iterations are even.

func chunks(n int, body func(begin, end int)) {
	workers := runtime.GOMAXPROCS(0)
	var all sync.WaitGroup
	all.Add(workers)
	for w := 0; w < workers; w++ {
		go func(begin, end int) {
			body(begin, end)
			all.Done()
		}(n*w/workers, n*(w+1)/workers)
	}
	all.Wait()
}

func repeated(metric string, loop func()) {
	loop()
	begun, rounds := time.Now(), 0
	for time.Since(begun) < budget() || rounds == 0 {
		loop()
		rounds++
	}
	report(metric, float64(time.Since(begun))/1e6/float64(rounds), "ms")
}

func forLoop(n int) {
	x := make([]uint32, n)
	repeated("for", func() {
		chunks(n, func(begin, end int) {
			for i := begin; i < end; i++ {
				x[i] = uint32(mix(uint64(i)))
			}
		})
	})
	for i := range x {
		if x[i] != uint32(mix(uint64(i))) {
			fail("for is wrong")
		}
	}
}

func unevenWork(i, n int) uint32 {
	x, steps := uint64(i), 20
	if i >= n/2 {
		steps = 20000
	}
	for ; steps > 0; steps-- {
		x = mix(x)
	}
	return uint32(x)
}

func forUneven(n int) {
	x := make([]uint32, n)
	repeated("for-uneven", func() {
		var next atomic.Int64
		chunks(n, func(int, int) {
			for i := int(next.Add(1) - 1); i < n; i = int(next.Add(1) - 1) {
				x[i] = unevenWork(i, n)
			}
		})
	})
	for i := range x {
		if x[i] != unevenWork(i, n) {
			fail("for-uneven is wrong")
		}
	}
}

func reduce(n int) {
	var expected, got uint64
	for i := 0; i < n; i++ {
		expected += mix(uint64(i))
	}
	repeated("reduce", func() {
		var sum atomic.Uint64
		chunks(n, func(begin, end int) {
			part := uint64(0)
			for i := begin; i < end; i++ {
				part += mix(uint64(i))
			}
			sum.Add(part)
		})
		got = sum.Load()
	})
	if got != expected {
		fail("reduce is wrong")
	}
}

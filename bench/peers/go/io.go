package main

import (
	"bytes"
	"io"
	"math/rand"
	"net"
	"os"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// ---- echo over TCP: a goroutine at each end of each connection. Go raises the limit of descriptors itself, and sets TCP_NODELAY.

func messageSize() int {
	n, err := strconv.Atoi(os.Getenv("BENCH_BYTES"))
	if err != nil {
		return 64
	}
	return n
}

type echoPair struct {
	client, server net.Conn
	done           atomic.Int64
	times          []int64 // the last ones
	apart          [64]byte
}

func (p *echoPair) serve(all *sync.WaitGroup) {
	buffer := make([]byte, messageSize())
	for {
		n, err := p.server.Read(buffer)
		if err == io.EOF {
			break
		}
		check(err)
		_, err = p.server.Write(buffer[:n])
		check(err)
	}
	p.server.Close()
	all.Done()
}

func (p *echoPair) once(message, answer []byte) {
	_, err := p.client.Write(message)
	check(err)
	_, err = io.ReadFull(p.client, answer)
	check(err)
	if !bytes.Equal(message, answer) {
		fail("the echo is not what was sent")
	}
}

func (p *echoPair) ask(stop *atomic.Bool, all *sync.WaitGroup) {
	message, answer := bytes.Repeat([]byte{'e'}, messageSize()), make([]byte, messageSize())
	for begun := time.Now(); !stop.Load(); {
		p.once(message, answer)
		now := time.Now()
		p.times[p.done.Load()%int64(len(p.times))] = int64(now.Sub(begun))
		p.done.Add(1)
		begun = now
	}
	p.client.Close()
	all.Done()
}

func checkLimit(connections int) {
	var limit syscall.Rlimit
	check(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if limit.Max < uint64(2*connections+100) {
		fail("only %d descriptors are allowed", limit.Max)
	}
}

// Connects one after the other; servers wait.
func connect(n int, all *sync.WaitGroup, dial func(address *net.TCPAddr) net.Conn) []*echoPair {
	checkLimit(n)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	check(err)
	pairs := make([]*echoPair, n)
	for i := range pairs {
		pairs[i] = &echoPair{client: dial(listener.Addr().(*net.TCPAddr))}
		pairs[i].server, err = listener.Accept()
		check(err)
		all.Add(1)
		go pairs[i].serve(all)
	}
	listener.Close()
	return pairs
}

func dial(address *net.TCPAddr) net.Conn {
	connection, err := net.DialTCP("tcp4", nil, address)
	check(err)
	return connection
}

func sumDone(pairs []*echoPair) (sum int64) {
	for _, p := range pairs {
		sum += p.done.Load()
	}
	return
}

func allBegun(pairs []*echoPair) bool {
	for _, p := range pairs {
		if p.done.Load() == 0 {
			return false
		}
	}
	return true
}

func percentile99(pairs []*echoPair) float64 {
	var took []int64
	for _, p := range pairs {
		if done := int(p.done.Load()); done < len(p.times) {
			took = append(took, p.times[:done]...)
		} else {
			took = append(took, p.times...)
		}
	}
	sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
	return float64(took[len(took)*99/100]) / 1e3
}

func echoTCP(n int) {
	var all sync.WaitGroup
	var stop atomic.Bool
	pairs := connect(n, &all, dial)
	all.Add(n)
	each := 1 << 20 / n
	if each < 16 {
		each = 16
	}
	for _, p := range pairs {
		p.times = make([]int64, each)
		go p.ask(&stop, &all)
	}
	for !allBegun(pairs) {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(budget() / 2)
	begun, before := time.Now(), sumDone(pairs)
	time.Sleep(2 * budget())
	done := sumDone(pairs) - before
	report("echo", float64(done)/time.Since(begun).Seconds(), "/s")
	stop.Store(true)
	all.Wait()
	report("echo-p99", percentile99(pairs), "us")
}

// A client's end that costs this process nothing but the descriptor.
type bareSocket struct {
	net.Conn
	fd int
}

func (s bareSocket) Write(b []byte) (int, error) { return syscall.Write(s.fd, b) }
func (s bareSocket) Read(b []byte) (int, error)  { return syscall.Read(s.fd, b) }
func (s bareSocket) Close() error                { return syscall.Close(s.fd) }

func dialBare(address *net.TCPAddr) net.Conn {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	check(err)
	check(syscall.Connect(fd, &syscall.SockaddrInet4{Port: address.Port, Addr: [4]byte{127, 0, 0, 1}}))
	return bareSocket{fd: fd}
}

func idleConnection(n int) {
	var all sync.WaitGroup
	before := memory()
	pairs := connect(n, &all, dialBare)
	message, answer := bytes.Repeat([]byte{'e'}, 64), make([]byte, 64)
	for _, p := range pairs {
		p.once(message, answer)
	}
	time.Sleep(100 * time.Millisecond)
	report("idle-connection", float64(memory()-before)/float64(n), "bytes")
	for _, p := range pairs {
		p.client.Close()
	}
	all.Wait()
}

// ---- files in the page cache

const fileBytes = 32 << 20

func cachedFile() *os.File {
	file, err := os.CreateTemp("", "bench")
	check(err)
	check(os.Remove(file.Name()))
	_, err = file.Write(bytes.Repeat([]byte{'f'}, fileBytes))
	check(err)
	return file
}

func measureFile(metric string, read func(file *os.File, buffer []byte, blocks int) (int, error)) {
	file, buffer := cachedFile(), make([]byte, messageSize())
	blocks := fileBytes / len(buffer)
	pass := func() {
		_, err := file.Seek(0, io.SeekStart)
		check(err)
		for i := 0; i < blocks; i++ {
			n, err := read(file, buffer, blocks)
			check(err)
			if n != len(buffer) {
				fail("a short read")
			}
		}
	}
	pass()
	passes, begun := 0, time.Now()
	for time.Since(begun) < budget() {
		pass()
		passes++
	}
	report(metric, float64(time.Since(begun))/float64(passes*blocks), "ns")
	file.Close()
}

func fileRead(int) {
	measureFile("file-read", func(file *os.File, buffer []byte, _ int) (int, error) { return file.Read(buffer) })
}

func filePread(int) {
	random := rand.New(rand.NewSource(1))
	measureFile("file-pread", func(file *os.File, buffer []byte, blocks int) (int, error) {
		return file.ReadAt(buffer, int64(random.Intn(blocks)*len(buffer)))
	})
}

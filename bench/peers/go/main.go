// The workloads with goroutines. Called as `go WORKLOAD N WORKERS`; prints `metric value unit`.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"time"
)

var workloads = map[string]func(n int){
	"spawn": spawn, "yield": yield, "forkjoin": forkjoin, "skynet": skynet, "skynet-join": skynetJoin,
	"scope": scope, "cancel": cancel,
	"parked": parked, "sleepers": sleepers, "slice": slice,
	"convoy":        func(n int) { convoy(n, hog) },
	"convoy-malloc": func(n int) { convoy(n, hogMalloc) },
	"lock":          func(n int) { lock("lock", n, 0) },
	"lock-100ns":    func(n int) { lock("lock-100ns", n, 100*time.Nanosecond) },
	"lock-10us":     func(n int) { lock("lock-10us", n, 10*time.Microsecond) },
	"rwlock":        rwlock, "cond": cond, "sem": sem, "barrier": barriers, "event": event,
	"queue": queue, "queue-fill": queueFill, "queue-priority": queuePriority, "pingpong": pingpong,
	"select": selects, "sieve": sieve, "timers": timers, "timers-random": timersRandom,
	"nqueens": nqueens, "uts": uts, "matmul": matmul, "for": forLoop, "for-uneven": forUneven, "reduce": reduce,
	"executor":                 byPool("executor", empty, 0),
	"executor-1us":             byPool("executor-1us", compute, 1000),
	"executor-100us":           byPool("executor-100us", compute, 100000),
	"executor-goroutine":       byGoroutine("executor", empty, 0),
	"executor-1us-goroutine":   byGoroutine("executor-1us", compute, 1000),
	"executor-100us-goroutine": byGoroutine("executor-100us", compute, 100000),
	"executor-map":             executorMap,
	"process-spawn":            processes("process-spawn", itself),
	"process-exec":             processes("process-exec", trueCommand),
	"echo":                     echoTCP, "idle-connection": idleConnection, "file-read": fileRead, "file-pread": filePread,
}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(1)
}

func check(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func report(metric string, value float64, unit string) {
	fmt.Printf("%s %.6g %s\n", metric, value, unit)
}

func milliseconds(variable string, otherwise int) time.Duration {
	if text := os.Getenv(variable); text != "" {
		n, err := strconv.Atoi(text)
		check(err)
		otherwise = n
	}
	return time.Duration(otherwise) * time.Millisecond
}

func budget() time.Duration { return milliseconds("BENCH_MS", 300) }

// Resident bytes and page tables of this process.
func memory() int64 {
	return 1024 * (kilobytes("/proc/self/smaps_rollup", "Rss:") + kilobytes("/proc/self/status", "VmPTE:"))
}

func kilobytes(path, key string) int64 {
	text, err := os.ReadFile(path)
	check(err)
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, key) {
			n, err := strconv.ParseInt(strings.Fields(line)[1], 10, 64)
			check(err)
			return n
		}
	}
	fail("%s has no %s", path, key)
	return 0
}

func quantile(values []time.Duration, q float64) float64 {
	sort.Slice(values, func(i, j int) bool { return values[i] < values[j] })
	at := int(q * float64(len(values)))
	if at == len(values) {
		at--
	}
	return float64(values[at]) / 1e6
}

func main() {
	if os.Getenv(nothingVariable) != "" {
		return
	}
	if len(os.Args) != 4 {
		fail("usage: %s WORKLOAD N WORKERS", os.Args[0])
	}
	n, err := strconv.Atoi(os.Args[2])
	check(err)
	workers, err := strconv.Atoi(os.Args[3])
	check(err)
	run := workloads[os.Args[1]]
	if run == nil {
		fail("no workload %s here", os.Args[1])
	}
	runtime.GOMAXPROCS(workers)
	run(n)
}

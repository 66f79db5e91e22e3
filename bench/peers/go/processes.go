package main

import (
	"os"
	"os/exec"
	"time"
)

const nothingVariable = "BENCH_DO_NOTHING"

// n processes that do nothing are started, then all are waited for.
func processes(name string, command func() *exec.Cmd) func(n int) {
	return func(n int) {
		turn := func() {
			running := make([]*exec.Cmd, n)
			for i := range running {
				running[i] = command()
				check(running[i].Start())
			}
			for _, c := range running {
				check(c.Wait())
			}
		}
		turn()
		begun, done := time.Now(), 0
		for time.Since(begun) < budget() {
			turn()
			done += n
		}
		report(name, float64(time.Since(begun).Microseconds())/float64(done), "us")
	}
}

func trueCommand() *exec.Cmd { return exec.Command("/bin/true") }

// This program anew, which is as near as Go comes to a spawn.
func itself() *exec.Cmd {
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), nothingVariable+"=1")
	return c
}

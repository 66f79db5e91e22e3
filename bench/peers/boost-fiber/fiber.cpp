// The workloads with Boost.Fiber. One worker is the round-robin scheduler, more are work_stealing.
//
// Fibers are not preempted and Boost.Fiber waits for no descriptors: no slice, no convoy.
#include "bench.h"
#include "queue_runs.h"
#include "team.h"

#include <chrono>
#include <malloc.h>
#include <mutex>
#include <vector>

namespace {

// ---- spawn

void spawn_and_join(std::vector<fiber> &all) {
  for (fiber &f : all) f = start(launch::post, [] {});
  for (fiber &f : all) f.join();
}

void spawn_run(long n) {
  team others;
  std::vector<fiber> all(n);
  spawn_and_join(all);
  int64_t begun = bench_now(), took;
  long batches = 0;
  do {
    spawn_and_join(all);
    batches++;
  } while ((took = bench_now() - begun) < bench_budget());
  bench_print("spawn", double(took) / double(batches * n), "ns");
}

// ---- yield

void yield_run(long n) {
  team others;
  bench_ring ring = bench_ring_of(n);
  std::vector<fiber> all(n);
  for (fiber &f : all)
    f = start(launch::post, [&ring] {
      bench_ring_arrive(&ring);
      while (!bench_ring_open(&ring)) boost::this_fiber::yield();
      for (long i = 0; i < ring.each; i++) boost::this_fiber::yield();
      bench_ring_finish(&ring);
    });
  for (fiber &f : all) f.join();
  bench_ring_print(&ring);
}

// ---- forkjoin, skynet

long fib(long n) {
  if (n < 2) return n;
  long x;
  fiber child = start(launch::dispatch, [&x, n] { x = fib(n - 1); });
  long y = fib(n - 2);
  child.join();
  return x + y;
}

void forkjoin_run(long n) {
  team others;
  fib(n - 7);
  int64_t begun = bench_now();
  bench_check(fib(n) != bench_fib(n), "fib");
  bench_print("forkjoin", double(bench_now() - begun) / double(bench_fib_spawns(n)), "ns");
}

long skynet(long first, long count) {
  constexpr int children = 10;
  if (count == 1) return first;
  long results[children], sum = 0, part = count / children;
  fiber all[children];
  for (int i = 0; i < children; i++)
    all[i] = start(launch::dispatch,
                   [&result = results[i], first, part, i] { result = skynet(first + i * part, part); });
  for (int i = 0; i < children; i++) {
    all[i].join();
    sum += results[i];
  }
  return sum;
}

void skynet_run(long n) {
  team others;
  skynet(0, n / 10);
  int64_t begun = bench_now();
  bench_check(skynet(0, n) != n * (n - 1) / 2, "skynet's sum");
  bench_print("skynet", double(bench_now() - begun) / 1e6, "ms");
}

// ---- parked, sleepers

void parked_run(long n) {
  team others;
  fibers::mutex mutex;
  fibers::condition_variable gate;
  bool open = false;
  long arrived = 0;
  std::vector<fiber> all(n);
  bench_parked begin = bench_parked_begin();
  for (fiber &f : all)
    f = start(launch::post, [&] {
      std::unique_lock<fibers::mutex> lock(mutex);
      arrived++;
      gate.wait(lock, [&open] { return open; });
    });
  for (bool there = false; !there;) {
    boost::this_fiber::yield();
    std::unique_lock<fibers::mutex> lock(mutex);
    there = arrived == n;
  }
  bench_parked_print(begin, n);
  {
    std::unique_lock<fibers::mutex> lock(mutex);
    open = true;
  }
  gate.notify_all();
  for (fiber &f : all) f.join();
}

void sleepers_run(long n) {
  team others;
  int64_t common_start;
  bench_sleeper *sleepers = bench_sleepers(n, &common_start);
  std::vector<fiber> all(n);
  for (long i = 0; i < n; i++)
    all[i] = start(launch::post, [s = &sleepers[i], common_start] {
      s->begun = bench_now();
      std::chrono::nanoseconds until(common_start + s->delay);
      boost::this_fiber::sleep_until(std::chrono::steady_clock::time_point(until));
      s->woken = bench_now();
    });
  for (fiber &f : all) f.join();
  bench_sleepers_print(sleepers, n, common_start);
}

// ---- what queue.cpp has

template <void run(long)> void with_team(long n) {
  team others(true);
  run(n);
}

int setup(int n) {
  workers = n;
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 64 << 20);
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  static const bench_workload table[] = {{"spawn", spawn_run},
                                         {"yield", yield_run},
                                         {"forkjoin", forkjoin_run},
                                         {"skynet", skynet_run},
                                         {"parked", parked_run},
                                         {"sleepers", sleepers_run},
                                         {"queue", with_team<queue_run>},
                                         {"pingpong", with_team<pingpong_run>},
                                         {nullptr, nullptr}};
  return bench_main(argc, argv, table, setup);
}

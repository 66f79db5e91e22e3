// forkjoin, spawn and skynet with oneTBB's task_group; the program of all its workloads. A TBB task cannot block or yield its worker, so there
// is nothing here for the other workloads.
#include "bench.h"
#include "executor.h"
#include "work_runs.h"

#include <memory>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_group.h>

using oneapi::tbb::global_control;
using oneapi::tbb::task_group;

namespace {

void spawn_and_wait(long n) {
  task_group group;
  for (long i = 0; i < n; i++) group.run([] {});
  group.wait();
}

void spawn_run(long n) {
  spawn_and_wait(n);
  int64_t begun = bench_now(), took;
  long batches = 0;
  do {
    spawn_and_wait(n);
    batches++;
  } while ((took = bench_now() - begun) < bench_budget());
  bench_print("spawn", double(took) / double(batches * n), "ns");
}

long fib(long n) {
  if (n < 2) return n;
  long x, y;
  task_group group;
  group.run([&x, n] { x = fib(n - 1); });
  y = fib(n - 2);
  group.wait();
  return x + y;
}

void forkjoin_run(long n) {
  fib(n - 7);
  int64_t begun = bench_now();
  bench_check(fib(n) != bench_fib(n), "fib");
  bench_print("forkjoin", double(bench_now() - begun) / double(bench_fib_spawns(n)), "ns");
}

long skynet(long first, long count) {
  constexpr int children = 10;
  if (count == 1) return first;
  long results[children], sum = 0, part = count / children;
  task_group group;
  for (int i = 0; i < children; i++)
    group.run([&result = results[i], first, part, i] { result = skynet(first + i * part, part); });
  group.wait();
  for (long result : results) sum += result;
  return sum;
}

void skynet_run(long n) {
  skynet(0, n / 10);
  int64_t begun = bench_now();
  bench_check(skynet(0, n) != n * (n - 1) / 2, "skynet's sum");
  bench_print("skynet", double(bench_now() - begun) / 1e6, "ms");
}

int setup(int workers) {
  static std::unique_ptr<global_control> limit;
  limit.reset(new global_control(global_control::max_allowed_parallelism, size_t(workers)));
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  static const bench_workload table[] = {{"spawn", spawn_run},
                                         {"forkjoin", forkjoin_run},
                                         {"skynet", skynet_run},
                                         {"executor", executor_run},
                                         {"executor-1us", executor_1us_run},
                                         {"executor-100us", executor_100us_run},
                                         {"nqueens", nqueens_run},
                                         {"uts", uts_run},
                                         {"matmul", matmul_run},
                                         {"for", for_run},
                                         {"for-uneven", for_uneven_run},
                                         {"reduce", reduce_run},
                                         {nullptr, nullptr}};
  return bench_main(argc, argv, table, setup);
}

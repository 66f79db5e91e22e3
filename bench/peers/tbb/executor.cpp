// executor with oneTBB: it has no futures. A task of a group stores its result, and who wants the results waits for the group, in
// which he runs tasks himself.
#include "executor.h"
#include "bench.h"

#include <oneapi/tbb/task_group.h>

#include <vector>

using oneapi::tbb::task_group;

namespace {

long compute(long ns) {
  for (int64_t end = ns ? bench_now() + ns : 0; ns && bench_now() < end;) {
  }
  return ns;
}

void submit_and_take(std::vector<long> &results, long ns) {
  task_group group;
  for (long &result : results) group.run([&result, ns] { result = compute(ns); });
  group.wait();
  for (long result : results) bench_check(result != ns, "a task's result");
}

void run(const char *metric, long n, long ns) {
  std::vector<long> results(static_cast<size_t>(n));
  submit_and_take(results, ns);
  int64_t begun = bench_now(), took;
  long batches = 0;
  do {
    submit_and_take(results, ns);
    batches++;
  } while ((took = bench_now() - begun) < bench_budget());
  bench_print(metric, double(took) / double(batches * n), "ns");
}

} // namespace

void executor_run(long n) { run("executor", n, 0); }
void executor_1us_run(long n) { run("executor-1us", n, 1000); }
void executor_100us_run(long n) { run("executor-100us", n, 100000); }

// Fibers and the kernel threads that run them.
#ifndef BENCH_TEAM_H
#define BENCH_TEAM_H

#include <boost/fiber/all.hpp>

#include <mutex>
#include <thread>
#include <vector>

namespace fibers = boost::fibers;
using fibers::fiber;
using fibers::launch;

constexpr std::size_t stack_size = 16 * 1024;
inline int workers;

// The pooled stack allocator is for one kernel thread only, so the stacks come from malloc, which is told to
// keep what is freed: without that each batch pays for its pages again and spawning is 30 times as slow.
template <typename Fn> inline fiber start(launch how, Fn fn) {
  static fibers::fixedsize_stack stacks{stack_size};
  return fiber(how, std::allocator_arg, stacks, fn);
}

// The other workers: kernel threads that take fibers until the workload is over.
class team {
  std::mutex mutex;
  fibers::condition_variable_any over;
  bool finished = false;
  std::vector<std::thread> threads;

  void work(bool sleep) {
    fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(workers, sleep);
    std::unique_lock<std::mutex> lock(mutex);
    over.wait(lock, [this] { return finished; });
  }

public:
  // A worker without fibers looks for some without end, or sleeps until there are: the former is faster for fork and
  // join, the latter, by much, for channels.
  explicit team(bool sleep = false) {
    if (workers == 1) return;
    for (int i = 1; i < workers; i++) threads.emplace_back([this, sleep] { work(sleep); });
    fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(workers, sleep);
  }

  ~team() {
    {
      std::unique_lock<std::mutex> lock(mutex);
      finished = true;
    }
    over.notify_all();
    for (std::thread &t : threads) t.join();
  }
};

#endif

// A lock and a queue between two processes by Boost.Interprocess.
#include <boost/interprocess/anonymous_shared_memory.hpp>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/interprocess_semaphore.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>
#include <new>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "bench.h"

namespace ip = boost::interprocess;

static const int batch = 1000;

template <class Run> static pid_t in_child(Run run) {
  pid_t child = fork();
  if (child < 0) bench_fail("fork");
  if (child == 0) {
    run();
    _exit(0);
  }
  return child;
}

static void await_child(pid_t child) {
  int status;
  if (waitpid(child, &status, 0) != child || status)
    bench_fail("the other process ended with status %d", status);
}

struct contest {
  ip::interprocess_mutex mutex;
  ip::interprocess_semaphore here{0}, go{0};
  long counter = 0;
  int stop = 0;
};

static void take(contest *c) {
  for (int i = 0; i < batch; i++) {
    ip::scoped_lock<ip::interprocess_mutex> lock(c->mutex);
    c->counter++;
  }
}

static void shared_lock(long n) {
  ip::mapped_region region(ip::anonymous_shared_memory(sizeof(contest)));
  contest *c = new (region.get_address()) contest;
  pid_t other = n == 2 ? in_child([c] {
    c->here.post();
    c->go.wait();
    while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) take(c);
  })
                       : 0;
  if (other) {
    c->here.wait();
    c->go.post();
  }
  int64_t begun = bench_now();
  long before = __atomic_load_n(&c->counter, __ATOMIC_RELAXED);
  while (bench_now() - begun < bench_budget()) take(c);
  int64_t took = bench_now() - begun;
  long done = __atomic_load_n(&c->counter, __ATOMIC_RELAXED) - before;
  __atomic_store_n(&c->stop, 1, __ATOMIC_RELAXED);
  bench_print("shared-lock", double(took) / double(done), "ns");
  if (other) await_child(other);
}

// Messages of one byte end it, or ask for an answer: all before have been got.
static void process_queue(long size) {
  std::string name = "thrum-bench-" + std::to_string(getpid());
  size_t places = size < 65536 ? (size_t(1) << 20) / size_t(size) : 8;
  ip::message_queue::remove(name.c_str());
  ip::message_queue queue(ip::create_only, name.c_str(), places, size_t(size));
  ip::mapped_region region(ip::anonymous_shared_memory(sizeof(contest)));
  contest *c = new (region.get_address()) contest;
  pid_t other = in_child([&] {
    std::vector<char> bytes(static_cast<size_t>(size));
    ip::message_queue::size_type n;
    for (;;) {
      unsigned priority;
      queue.receive(bytes.data(), bytes.size(), n, priority);
      if (n != 1) continue;
      if (bytes[0] == 'e') return;
      c->here.post();
    }
  });
  std::vector<char> bytes(static_cast<size_t>(size));
  long each = size < 65536 ? 10000 : 100, sent = 0;
  auto send = [&](long count) {
    for (long i = 0; i < count; i++) queue.send(bytes.data(), bytes.size(), 0);
    queue.send("?", 1, 0);
    c->here.wait();
  };
  send(each / 10);
  int64_t begun = bench_now(), took = 0;
  for (; took < bench_budget(); took = bench_now() - begun, sent += each) send(each);
  bench_print("process-queue", double(took) / double(sent), "ns");
  queue.send("e", 1, 0);
  await_child(other);
  ip::message_queue::remove(name.c_str());
}

static const bench_workload workloads[] = {
    {"shared-lock", shared_lock}, {"process-queue", process_queue}, {nullptr, nullptr}};

int main(int argc, char **argv) { return bench_main(argc, argv, workloads, nullptr); }

// Locks of oneTBB: its mutexes spin for a while and then sleep. It has no condition, semaphore, barrier or event.
#include <oneapi/tbb/mutex.h>
#include <oneapi/tbb/rw_mutex.h>

#include <cstdlib>

#include "posix.h"

namespace {
using lock = oneapi::tbb::mutex;
inline void lock_acquire(lock *l) { l->lock(); }
inline void lock_release(lock *l) { l->unlock(); }

#define HAS_RWLOCK
using rwlock = oneapi::tbb::rw_mutex;
inline void read_acquire(rwlock *l) { l->lock_shared(); }
inline void read_release(rwlock *l) { l->unlock_shared(); }
inline void write_acquire(rwlock *l) { l->lock(); }
inline void write_release(rwlock *l) { l->unlock(); }
} // namespace

#include "sync.h"

int main(int argc, char **argv) {
  static const bench_workload table[] = {{"lock", sync_lock_run},
                                         {"lock-100ns", sync_lock_100ns_run},
                                         {"lock-10us", sync_lock_10us_run},
                                         {"rwlock", sync_rwlock_run},
                                         {nullptr, nullptr}};
  return bench_main(argc, argv, table, posix_setup);
}

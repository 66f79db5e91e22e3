// An exception in flight stays with its thread when that switches in a handler, a destructor or a rethrow.
#include "../support.h"

#include <exception>
#include <stdexcept>
#include <string>

enum { THREADS = 24, ROUNDS = 40 };

// Yields while the stack is unwound.
struct yields_when_destroyed {
  ~yields_when_destroyed() {
    CHECK(std::uncaught_exception());
    thrum_yield();
    CHECK(std::uncaught_exception());
  }
};

static void throw_through_a_yield(const std::string &text) {
  yields_when_destroyed guard;
  throw std::runtime_error(text);
}

static void nested(const std::string &text) {
  try {
    throw_through_a_yield(text);
  } catch (const std::runtime_error &outer) {
    CHECK_EQ(thrum_sleep(THRUM_US(50)), 0);
    try {
      throw std::logic_error("inner " + text);
    } catch (const std::logic_error &inner) {
      thrum_yield();
      CHECK_STR(inner.what(), ("inner " + text).c_str());
    }
    thrum_yield();
    CHECK_STR(outer.what(), text.c_str());
    throw; // what is current must be this thread's outer one
  }
}

static intptr_t throws(void *arg) {
  std::string text = "thread " + std::to_string((intptr_t)arg);
  int caught = 0;
  for (int i = 0; i < ROUNDS; i++) {
    try {
      nested(text);
    } catch (const std::exception &e) {
      CHECK_STR(e.what(), text.c_str());
      std::exception_ptr kept = std::current_exception();
      thrum_yield();
      try {
        std::rethrow_exception(kept);
      } catch (const std::runtime_error &again) {
        CHECK_STR(again.what(), text.c_str());
      }
      caught++;
    }
    CHECK(!std::uncaught_exception());
    CHECK(std::current_exception() == nullptr);
  }
  return caught;
}

int main() {
  thrum_thread threads[THREADS];
  CHECK_EQ(thrum_set_switch_interval(THRUM_US(100)), 0);
  for (intptr_t i = 0; i < THREADS; i++)
    threads[i] = i % 8 ? must_spawn(throws, (void *)i) : must_spawn_bound(throws, (void *)i);
  CHECK_EQ(throws((void *)99), ROUNDS);
  for (int i = 0; i < THREADS; i++) CHECK_EQ(must_join(threads[i]), ROUNDS);
  CHECK_EQ(run_outside(throws, (void *)100), ROUNDS);
  return 0;
}

// Blocks that hold something (THRUM_LOCKED and the like) let go of it when an exception leaves them, also one that passes through
// C, while others want it, and while letting go means to wait; and however else they are left.
#include "../support.h"

#include <exception>
#include <stdexcept>
#include <string>

extern "C" void cxx_blocks_call_locked(thrum_lock *lock, void (*fn)(void *), void *arg);

enum { THREADS = 12, ROUNDS = TESTS_SANITIZED ? 100 : 300 };

static thrum_lock lock;
static thrum_rlock rlock;
static thrum_rwlock rwlock;
static thrum_gil gil;
static long inside, writing, reading, in_gil; // of each at most one, but for readers

// Counts its holder while the stack is unwound as well: destroyed before the block lets go.
struct holder {
  long *of;
  explicit holder(long *counter) : of(counter) { CHECK_EQ(ADD(*of, 1), 1); }
  ~holder() {
    thrum_yield();
    CHECK_EQ(ADD(*of, -1), 0);
  }
};

static void throws_in_lock(const std::string &text) {
  THRUM_LOCKED(&lock) {
    holder h(&inside);
    throw std::runtime_error(text);
  }
}

static void throws_in_rlock(const std::string &text) {
  THRUM_RLOCKED(&rlock) {
    THRUM_RLOCKED(&rlock) {
      CHECK(thrum_rlock_count(&rlock) >= 2);
      throw std::runtime_error(text);
    }
  }
}

// The inner exception leaves one level of it.
static void throws_in_rlock_twice(const std::string &text) {
  THRUM_RLOCKED(&rlock) {
    try {
      throws_in_rlock("inner " + text);
    } catch (const std::runtime_error &e) {
      CHECK_STR(e.what(), ("inner " + text).c_str());
    }
    CHECK_EQ(thrum_rlock_count(&rlock), 1u);
    throw std::runtime_error(text);
  }
}

static void throws_in_write(const std::string &text) {
  THRUM_WRITE_LOCKED(&rwlock) {
    CHECK_EQ(LOAD(reading), 0);
    holder h(&writing);
    throw std::runtime_error(text);
  }
}

static void throws_in_read(const std::string &text) {
  THRUM_READ_LOCKED(&rwlock) {
    ADD(reading, 1);
    CHECK_EQ(LOAD(writing), 0);
    thrum_yield();
    ADD(reading, -1);
    throw std::runtime_error(text);
  }
}

// Letting go of the inner block takes the gil again: that waits, with the exception in flight.
static void throws_without_gil(const std::string &text) {
  THRUM_GIL_LOCKED(&gil) {
    ADD(in_gil, 1);
    try {
      ADD(in_gil, -1);
      THRUM_GIL_UNLOCKED(&gil) {
        CHECK(!thrum_gil_owned(&gil));
        throw std::runtime_error(text);
      }
    } catch (const std::runtime_error &) {
      CHECK(thrum_gil_owned(&gil));
      CHECK_EQ(ADD(in_gil, 1), 1);
      ADD(in_gil, -1);
      thrum_gil_check(&gil); // which may let another one in
      throw;
    }
  }
}

static void throw_it(void *text) { throw std::runtime_error(*static_cast<const std::string *>(text)); }

static void throws_through_c(const std::string &text) {
  cxx_blocks_call_locked(&lock, throw_it, const_cast<std::string *>(&text));
}

static int leave_otherwise(int how) {
  for (int i = 0; i < 3; i++) {
    THRUM_LOCKED(&lock) {
      holder h(&inside);
      if (how == 0) return 1;
      if (how == 1) break;    // the block
      if (how == 2) continue; // likewise
      if (how == 3) goto out;
    }
  }
  return 3;
out:
  return 2;
}

typedef void thrower(const std::string &text);
static thrower *const throwers[] = {throws_in_lock,  throws_in_rlock, throws_in_rlock_twice,
                                    throws_in_write, throws_in_read,  throws_without_gil,
                                    throws_through_c};
enum { THROWERS = sizeof throwers / sizeof throwers[0] };

static intptr_t throws_all(void *arg) {
  std::string text = "thread " + std::to_string((intptr_t)arg);
  static const int results[] = {1, 3, 3, 2, 3};
  for (int i = 0; i < ROUNDS; i++) {
    int n = (i + (int)(intptr_t)arg) % THROWERS;
    bool caught = false;
    try {
      throwers[n](text);
    } catch (const std::runtime_error &e) {
      CHECK_STR(e.what(), text.c_str());
      caught = true;
    }
    CHECK(caught);
    CHECK(!std::uncaught_exception());
    CHECK(!thrum_gil_owned(&gil) && !thrum_rwlock_is_writer(&rwlock) && thrum_rlock_count(&rlock) == 0);
    CHECK_EQ(leave_otherwise(i % 5), results[i % 5]);
  }
  return 0;
}

int main() {
  CHECK_EQ(thrum_set_switch_interval(THRUM_US(100)), 0);
  throws_all(NULL); // alone: nothing stays held
  CHECK(!thrum_lock_held(&lock) && !thrum_rlock_held(&rlock) && !thrum_rwlock_held(&rwlock) &&
        !thrum_gil_held(&gil));
  struct crowd crowd;
  crowd_start(&crowd, THREADS, throws_all);
  crowd_join(&crowd);
  CHECK(!thrum_lock_held(&lock) && !thrum_rlock_held(&rlock) && !thrum_rwlock_held(&rwlock) &&
        !thrum_gil_held(&gil));
  return 0;
}

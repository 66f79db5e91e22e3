/* How small the objects of sync.h are, in every build; and what they say while they are nothing but zeroes. */
#include "../check.h"

#include <thrum.h>

#define SIZE(type, size) _Static_assert(sizeof(type) == (size), #type " is to have " #size " bytes")

SIZE(thrum_lock, 8);
SIZE(thrum_cond, 8);
SIZE(thrum_event, 8);
SIZE(thrum_rwlock, 8);
SIZE(thrum_once, 8);
SIZE(thrum_waitgroup, 8);
SIZE(thrum_rlock, 16);
SIZE(thrum_sem, 16);

static struct {
  thrum_lock lock;
  thrum_rlock rlock;
  thrum_rwlock rwlock;
  thrum_sem sem;
  thrum_event event;
  thrum_once once;
  thrum_waitgroup group;
  thrum_cond cond;
  thrum_gil gil;
} zero;

int main(void) {
  CHECK(!thrum_lock_held(&zero.lock) && !thrum_rlock_held(&zero.rlock) && !thrum_rwlock_held(&zero.rwlock));
  CHECK(!thrum_gil_held(&zero.gil) && !thrum_event_is_set(&zero.event) && !thrum_once_done(&zero.once));
  CHECK_EQ(thrum_sem_value(&zero.sem), 0);
  CHECK_EQ(thrum_waitgroup_count(&zero.group), 0);
  CHECK_EQ(thrum_rlock_count(&zero.rlock), 0);
  CHECK_EQ(thrum_lock_release(&zero.lock), -EPERM);
  CHECK_EQ(thrum_rlock_release(&zero.rlock), -EPERM);
  CHECK_EQ(thrum_rwlock_release_read(&zero.rwlock), -EPERM);
  CHECK_EQ(thrum_rwlock_release_write(&zero.rwlock), -EPERM);
  CHECK_EQ(thrum_gil_release(&zero.gil), -EPERM);
  CHECK_EQ(thrum_sem_try_acquire(&zero.sem), -EAGAIN);
  CHECK_EQ(thrum_lock_destroy(&zero.lock) | thrum_rlock_destroy(&zero.rlock), 0);
  CHECK_EQ(thrum_rwlock_destroy(&zero.rwlock) | thrum_sem_destroy(&zero.sem), 0);
  CHECK_EQ(thrum_event_destroy(&zero.event) | thrum_waitgroup_destroy(&zero.group), 0);
  CHECK_EQ(thrum_cond_destroy(&zero.cond) | thrum_gil_destroy(&zero.gil), 0);
  static const char none[sizeof zero];
  CHECK_EQ(memcmp(&zero, none, sizeof zero), 0); /* errors and questions have changed nothing */
  return 0;
}

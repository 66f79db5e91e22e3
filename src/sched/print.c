/* thrum_print: one line of text, one write, one at a time. */
#include <sched/await.h>
#include <sched/self.h>
#include <stdarg.h>
#include <stdio.h>

enum { SHORT = 512 };

/* The printers' lock: 0 free, 1 held, 2 held and somebody waits in the parking table. Handed over in order. */
static _Atomic uint32_t printing;

/* In the child of a fork: who held it is not there. */
void thrumi_print_fork(void) { thrumi_store(&printing, 0); }

static void lock(void) {
  uint32_t word = 0;
  if (thrumi_cas(&printing, &word, 1)) return;
  struct thrumi_bucket *bucket = thrumi_bucket_lock(&printing);
  if (thrumi_swap(&printing, 2) == 0) { /* released meanwhile: taken, though marked as waited for */
    thrumi_bucket_unlock(bucket);
    return;
  }
  struct thrumi_waiter waiter; /* whoever lets us go leaves the lock held for us */
  thrumi_await(bucket, &waiter, &printing, "its turn to print", NULL, INT64_MAX, 0);
}

static void unlock(void) {
  uint32_t word = 1;
  if (thrumi_cas(&printing, &word, 0)) return;
  struct thrumi_bucket *bucket = thrumi_bucket_lock(&printing);
  struct thrumi_waiter *next = thrumi_bucket_first(bucket, &printing);
  if (!next || !thrumi_let_go(bucket, next, 0)) thrumi_store(&printing, 0);
  thrumi_bucket_unlock(bucket);
}

/* The stream's own lock makes the write one piece; ours keeps light threads from blocking in it. */
static int put(const char *text, size_t length) {
  thrumi_enter();
  lock();
  thrumi_leave(thrumi_self());
  size_t written = fwrite(text, 1, length, stdout);
  int error = written == length ? 0 : errno;
  thrumi_enter();
  unlock();
  thrumi_leave(thrumi_self());
  return error ? -error : (int)length;
}

int thrum_print(const char *format, ...) {
  char text[SHORT];
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int length = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  int result = length < 0 ? -EINVAL : 0;
  if (length >= 0 && length < SHORT) {
    result = put(text, (size_t)length);
  } else if (length >= 0) {
    char *block = thrumi_os.allocate((size_t)length + 1);
    if (block) vsnprintf(block, (size_t)length + 1, format, again);
    result = block ? put(block, (size_t)length) : -ENOMEM;
    if (block) thrumi_os.free(block);
  }
  va_end(again);
  return result;
}

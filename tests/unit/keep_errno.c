/* A program that asks for it keeps libc's errno, and the library works beside it. */
#define THRUM_KEEP_ERRNO
#include "../support.h"

#include <errno.h>

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

static intptr_t set_it(void *arg) {
  errno = (int)(intptr_t)arg;
  CHECK_EQ(*thrum_errno(), errno);
  thrum_yield();
  return *thrum_errno();
}

int main(void) {
  CHECK(!strstr(TEXT(errno), "thrum"));
  CHECK_EQ(must_join(must_spawn(set_it, (void *)(intptr_t)ERANGE)), ERANGE);
  return 0;
}

#include <dlfcn.h>
#include <process/authenticator.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/auxv.h>

static const struct thrumi_authenticator *_Atomic registered;

void thrumi_set_authenticator(const struct thrumi_authenticator *authenticator) {
  atomic_store(&registered, authenticator);
}

/* By name, as libthrum-dump and for the same reasons: see core/backtrace.c. */
static void load_library(void) {
  if (getauxval(AT_BASE) == 0) return;
  void *library = dlopen("libthrum-auth.so.0", RTLD_NOW | RTLD_LOCAL);
  const struct thrumi_authenticator *found = library ? dlsym(library, "thrumi_auth_authenticator") : NULL;
  if (found) thrumi_set_authenticator(found);
}

const struct thrumi_authenticator *thrumi_authenticator_get(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  if (!atomic_load(&registered)) pthread_once(&once, load_library);
  return atomic_load(&registered);
}

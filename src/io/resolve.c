/* getaddrinfo without its wait: libc does the look-up in a thread of ours, a helper, that gives its worker up meanwhile, so who
 * asked can run out of time or be cancelled, and the look-up goes on without it.
 *
 * A request lies on the heap, with copies of all arguments, and belongs to two: who asked and the helper. Each leaves once, by a
 * step of `left`, and the second frees it, and the list that was found if nobody took that. Who asked
 * waits for the helper's end: then the results are there. Who gives up detaches it, and need not know whether they have
 * come meanwhile.
 *
 * Helpers at work are bounded by a semaphore: each keeps a kernel thread busy, for as long as libc and its name servers like. Who
 * finds none free waits for one, as for anything else, with its timeout and its cancellation. A helper whose asker has left
 * keeps its place until libc has come back, since the kernel thread is kept that long as well.
 *
 * Numeric addresses and ports need no wait, and no helper: they are tried first.
 *
 * Helpers are daemons: the program's end does not wait for a name server. While one is in libc it is BLOCKED, so that no
 * deadlock is pronounced that the look-up's end would end.
 *
 * Rejected: getaddrinfo_a, which has kernel threads of its own, of no bound, glibc's alone. A resolver of our own: it would know
 * nothing of nsswitch.conf. */
#define _GNU_SOURCE
#include <io/attempt.h>
#include <io/resolve.h>
#include <netdb.h>
#include <os/os.h>
#include <sched/self.h>
#include <string.h>
#include <thrum/io/net.h>
#include <thrum/sync/sem.h>
#include <thrum/thread.h>
#include <thrum/time.h>

enum {
  HELPERS = 32,
  HELPER_STACK = 1 << 20
}; /* nss modules are not sparing; pages that are not touched cost nothing */

struct request {
  _Atomic uint32_t left; /* of its two owners */
  int result, error;
  struct addrinfo *found;
  struct addrinfo hints;
  bool hinted;             /* libc tells no hints from all-zero ones */
  const char *host, *port; /* NULL, or in `text` */
  char text[];
};

static thrum_sem helpers = THRUM_SEM_INIT(HELPERS);

/* Who looked up in the parent is not there. */
static void forked(void) { helpers = (thrum_sem)THRUM_SEM_INIT(HELPERS); }

/* ---- Requests --------------------------------------------------------------------------------------------------------- */

static char *copy_text(char **room, const char *text) {
  if (!text) return NULL;
  char *copy = *room;
  *room = stpcpy(copy, text) + 1;
  return copy;
}

static struct request *make_request(const char *host, const char *port, const struct addrinfo *hints) {
  size_t size = (host ? strlen(host) + 1 : 0) + (port ? strlen(port) + 1 : 0);
  struct request *r = thrumi_os.allocate(sizeof *r + size);
  if (!r) return NULL;
  char *room = r->text;
  r->host = copy_text(&room, host);
  r->port = copy_text(&room, port);
  r->hinted = hints;
  if (hints) r->hints = *hints;
  return r;
}

static void leave(struct request *r) {
  if (thrumi_add(&r->left, 1u) == 0) return;
  if (r->found) freeaddrinfo(r->found);
  thrumi_os.free(r);
}

/* ---- The helper --------------------------------------------------------------------------------------------------------- */

static intptr_t ask_libc(void *arg) {
  struct request *r = arg;
  const struct addrinfo *hints = r->hinted ? &r->hints : NULL;
  r->result = thrumi_os.look_up(r->host, r->port, hints, &r->found, &r->error);
  if (r->result != 0) r->found = NULL;
  return 0;
}

static intptr_t help(void *arg) {
  struct request *r = arg;
  if (!thrumi_load(&r->left)) thrum_blocking(ask_libc, r); /* somebody still wants to know */
  thrum_sem_release(&helpers, 1);
  leave(r);
  return 0;
}

/* 0 or a negative errno; a unit of the semaphore is the helper's from here on. */
static int start_helper(thrum_thread *out, struct request *r) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.name = "getaddrinfo";
  options.stack_size = HELPER_STACK;
  options.daemon = THRUM_YES;
  return thrum_spawn_with(out, &options, help, r);
}

/* ---- Who asks ----------------------------------------------------------------------------------------------------------- */

static int system_error(int *error, int why) {
  *error = why;
  return EAI_SYSTEM;
}

/* Waits for the helper's end, or leaves it alone. A helper that fails has never run: there was no stack for it after all. */
static int wait_for_helper(thrum_thread helper, struct request *r, thrum_time deadline) {
  intptr_t end = 0;
  int why = thrum_join_for(helper, &end, thrum_left(deadline));
  if (why) return thrum_detach(helper), why;
  if (!thrum_failed(end)) return 0;
  thrum_sem_release(&helpers, 1);
  leave(r);
  return (int)end;
}

/* The request is not the caller's afterwards. */
static int await_answer(thrum_thread helper, struct request *r, struct addrinfo **out, int *error,
                        thrum_time deadline) {
  int why = wait_for_helper(helper, r, deadline);
  int result = why == -ENOMEM ? EAI_MEMORY : why ? system_error(error, why) : r->result;
  if (!why) {
    *error = r->error;
    *out = r->found;
    r->found = NULL;
  }
  leave(r);
  return result;
}

static int ask_helper(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out,
                      int *error, thrum_time deadline) {
  thrumi_hooks.resolve_fork = forked;
  int why = thrum_sem_acquire_for(&helpers, thrum_left(deadline));
  if (why) return system_error(error, why);
  struct request *r = make_request(host, port, hints);
  thrum_thread helper;
  why = r ? start_helper(&helper, r) : -ENOMEM;
  if (!why) return await_answer(helper, r, out, error, deadline);
  thrum_sem_release(&helpers, 1);
  if (r) thrumi_os.free(r);
  return why == -ENOMEM ? EAI_MEMORY : system_error(error, why);
}

/* EAI_NONAME also if it is not numeric. */
static int try_numeric(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **out, int *error) {
  struct addrinfo numeric = hints ? *hints : (struct addrinfo){.ai_family = AF_UNSPEC};
  numeric.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
  return thrumi_os.look_up(host, port, &numeric, out, error);
}

int thrum_getaddrinfo_for(const char *host, const char *port, const struct addrinfo *hints,
                          struct addrinfo **out, int *error, thrum_duration timeout) {
  int ignored;
  if (!error) error = &ignored;
  thrum_time deadline = thrum_after(timeout);
  int why = thrumi_cancelled();
  if (why) return system_error(error, why);
  int result = try_numeric(host, port, hints, out, error);
  if (result != EAI_NONAME || (!host && !port)) return result;
  if (timeout <= 0) return system_error(error, -ETIMEDOUT);
  return ask_helper(host, port, hints, out, error, deadline);
}

int thrum_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out,
                      int *error) {
  return thrum_getaddrinfo_for(host, port, hints, out, error, THRUM_FOREVER);
}

/* ---- For those who want an errno ------------------------------------------------------------------------------------------ */

static int errno_of(int result, int error) {
  switch (result) {
  case 0: return 0;
  case EAI_SYSTEM: return error < 0 ? error : -EIO;
  case EAI_MEMORY: return -ENOMEM;
  case EAI_AGAIN: return -EAGAIN;
  case EAI_FAMILY: return -EAFNOSUPPORT;
  case EAI_FAIL: return -EIO;
  default: return -ENOENT; /* no such name, no address of it, no such service */
  }
}

int thrumi_resolve(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out,
                   thrum_duration timeout) {
  int error = 0, result = thrum_getaddrinfo_for(host, port, hints, out, &error, timeout);
  return errno_of(result, error);
}

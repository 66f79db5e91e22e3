/* thrum_getaddrinfo gives what getaddrinfo gives. While libc looks a name up only the thread waits; it can be cancelled and run
 * out of time, and then the look-up is nobody's, and frees itself. A bounded number is under way at a time. */
#include "../child.h"
#include "parked.h"

#include <netdb.h>
#include <netinet/in.h>
#include <os/os.h>
#include <sys/wait.h>

enum { BOUND = 32, MANY = 48 };

static int under_way, most, asked, finished;
static bool gate_open;

/* In place of libc's: names say what happens. Numeric addresses are libc's business. */
static int look_up(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out,
                   int *error) {
  int numeric = AI_NUMERICHOST | AI_NUMERICSERV;
  if (hints && (hints->ai_flags & numeric) == numeric)
    return thrumi_os_linux.look_up(host, port, hints, out, error);
  ADD(asked, 1);
  int now = ADD(under_way, 1), seen = LOAD(most);
  while (now > seen &&
         !__atomic_compare_exchange_n(&most, &seen, now, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    continue;
  int result = thrumi_os_linux.look_up("127.0.0.1", port, hints, out, error);
  if (strcmp(host, "slow") == 0) AWAIT_OUTSIDE(LOAD(gate_open));
  if (strcmp(host, "never") == 0)
    for (;;) pause();
  ADD(under_way, -1);
  ADD(finished, 1);
  return result;
}

static void close_gate(void) {
  STORE(gate_open, false);
  asked = finished = under_way = most = 0;
}

/* And waits until no helper is left, also of those that have not begun. */
static void open_gate(void) {
  STORE(gate_open, true);
  AWAIT(thrum_active_count() == 1);
  AWAIT(LOAD(finished) == LOAD(asked));
}

static int resolve_for(const char *host, thrum_duration timeout) {
  struct addrinfo *list = NULL;
  int error = 0, result = thrum_getaddrinfo_for(host, "80", NULL, &list, &error, timeout);
  if (result == EAI_SYSTEM) return error;
  CHECK_EQ(result, 0);
  CHECK(list && list->ai_addr->sa_family == AF_INET);
  CHECK_EQ(((struct sockaddr_in *)(void *)list->ai_addr)->sin_port, htons(80));
  freeaddrinfo(list);
  return 0;
}

static intptr_t resolve(void *host) { return resolve_for(host, THRUM_FOREVER); }
static char slow[] = "slow", quick[] = "quick", never[] = "never";

/* ---- As libc does it ------------------------------------------------------------------------------------------------------- */

static void compare(const char *host, const char *port, const struct addrinfo *hints) {
  struct addrinfo *ours = NULL, *theirs = NULL;
  int result = thrum_getaddrinfo(host, port, hints, &ours, NULL);
  CHECK_EQ(result, getaddrinfo(host, port, hints, &theirs));
  if (result) return;
  for (struct addrinfo *a = ours, *b = theirs; a || b; a = a->ai_next, b = b->ai_next) {
    CHECK(a && b);
    CHECK(a->ai_family == b->ai_family && a->ai_socktype == b->ai_socktype &&
          a->ai_protocol == b->ai_protocol);
    CHECK(a->ai_addrlen == b->ai_addrlen && memcmp(a->ai_addr, b->ai_addr, a->ai_addrlen) == 0);
    CHECK(!a->ai_canonname == !b->ai_canonname);
    if (a->ai_canonname) CHECK_STR(a->ai_canonname, b->ai_canonname);
  }
  freeaddrinfo(ours);
  freeaddrinfo(theirs);
}

static intptr_t as_libc_does(void *unused) {
  (void)unused;
  static const char *const hosts[] = {NULL, "127.0.0.1", "::1", "127.1", "localhost", "1.2.3.4.5"};
  enum { LOCALHOST = 4 }; /* from a file; the IPv6 address of it may be asked for in the network */
  static const char *const ports[] = {NULL, "0", "80", "65535", "http", "no such service"};
  static const int flags[] = {0, AI_PASSIVE, AI_NUMERICHOST, AI_NUMERICSERV, AI_CANONNAME, 1 << 20};
  static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6, 77};
  for (size_t h = 0; h <= LOCALHOST; h++)
    for (size_t p = 0; p < 6; p++) {
      if (h != LOCALHOST) compare(hosts[h], ports[p], NULL);
      for (size_t f = 0; f < 24; f++) {
        if (h == LOCALHOST && families[f % 4] != AF_INET) continue;
        struct addrinfo hints = {
            .ai_flags = flags[f / 4], .ai_family = families[f % 4], .ai_socktype = SOCK_STREAM};
        compare(hosts[h], ports[p], &hints);
      }
    }
  struct addrinfo numeric = {.ai_flags = AI_NUMERICHOST};
  compare(hosts[5], "80", &numeric);
  return 0;
}

static void numeric_ones_need_no_helper(void) {
  close_gate();
  struct addrinfo *list;
  CHECK_EQ(thrum_getaddrinfo_for("127.0.0.1", "80", NULL, &list, NULL, 0), 0); /* not even time */
  freeaddrinfo(list);
  CHECK_EQ(thrum_getaddrinfo_for("::1", "80", NULL, &list, NULL, -1), 0);
  freeaddrinfo(list);
  CHECK_EQ(asked, 0);
  CHECK_EQ(resolve_for(quick, 0), -ETIMEDOUT);
  CHECK_EQ(asked, 0); /* there was no point */
  CHECK_EQ(resolve_for(quick, THRUM_FOREVER), 0);
  CHECK_EQ(asked, 1);
}

/* ---- Who waits ------------------------------------------------------------------------------------------------------------- */

static void others_run(void) {
  close_gate();
  thrum_thread threads[8];
  struct hogs hogs;
  for (int i = 0; i < 8; i++) threads[i] = must_spawn(resolve, slow);
  for (int i = 0; i < 8; i++) AWAIT(is_parked(threads[i]));
  AWAIT(LOAD(under_way) == 8);
  hogs_start(&hogs, 3, hog_loop);
  AWAIT(hogs_all_beyond(&hogs, NULL));
  hogs_stop(&hogs);
  for (int i = 0; i < 8; i++) CHECK(thrum_is_alive(threads[i]));
  open_gate();
  for (int i = 0; i < 8; i++) CHECK_EQ(must_join(threads[i]), 0);
  open_gate();
}

static void waits_end_early(void) {
  close_gate();
  for (int i = 0; i < 4; i++) CHECK_EQ(resolve_for(slow, THRUM_MS(1)), -ETIMEDOUT);
  for (int i = 0; i < 4; i++) CHECK_EQ(cancelled_result(resolve, slow), -ECANCELED);
  CHECK_EQ(result_if_cancelled_before(resolve, quick), -ECANCELED);
  static char numeric[] = "127.0.0.1";
  CHECK_EQ(result_if_cancelled_before(resolve, numeric), -ECANCELED);
  open_gate();
  CHECK(asked <= 8); /* none that nobody wants any more when its helper begins */
}

/* The two owners of a request leave it at about the same time. */
static void both_leave_at_once(void) {
  close_gate();
  STORE(gate_open, true);
  for (int i = 0; i < 300; i++) {
    int error = resolve_for(slow, THRUM_US(i));
    CHECK(error == 0 || error == -ETIMEDOUT);
  }
  open_gate();
}

static void bounded(void) {
  close_gate();
  thrum_thread threads[MANY];
  for (int i = 0; i < MANY; i++) threads[i] = must_spawn(resolve, slow);
  for (int i = 0; i < MANY; i++) AWAIT(is_parked(threads[i]));
  AWAIT(LOAD(under_way) == BOUND);
  CHECK_EQ(resolve_for(quick, THRUM_MS(2)), -ETIMEDOUT); /* has to wait for its turn */
  CHECK_EQ(cancelled_result(resolve, quick), -ECANCELED);
  CHECK_EQ(asked, BOUND);
  STORE(gate_open, true);
  for (int i = 0; i < MANY; i++) CHECK_EQ(must_join(threads[i]), 0);
  open_gate();
  CHECK(asked == MANY && most == BOUND);
}

static void they_are_not_in_a_child(void) {
  int status = -1;
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    CHECK_EQ(resolve_for(quick, THRUM_FOREVER), 0);
    _exit(0);
  }
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
}

/* Those whose askers have left keep their places, as long as libc keeps their kernel threads. */
static void abandoned_ones_count(void) {
  close_gate();
  for (int i = 0; i < BOUND; i++) {
    thrum_thread t = must_spawn(resolve, slow);
    AWAIT(LOAD(under_way) == i + 1);
    cancel_thread(t);
    CHECK_EQ(must_join(t), -ECANCELED);
  }
  CHECK_EQ(resolve_for(quick, THRUM_MS(2)), -ETIMEDOUT);
  if (!TESTS_TSAN) they_are_not_in_a_child();
  open_gate();
  CHECK_EQ(resolve_for(quick, THRUM_FOREVER), 0);
}

/* ---- Errors ------------------------------------------------------------------------------------------------------------------ */

static int given, given_error;
static int fail(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out,
                int *error) {
  (void)host, (void)port, (void)out;
  *error = given_error;
  return hints && hints->ai_flags & AI_NUMERICHOST ? EAI_NONAME : given;
}

static void check_error(int result, int error, int expected) {
  given = result, given_error = error;
  struct addrinfo *list;
  int why = 0;
  CHECK_EQ(thrum_getaddrinfo("name", "80", NULL, &list, &why), result);
  CHECK_EQ(why, error);
  CHECK_EQ(thrum_getaddrinfo("name", "80", NULL, &list, NULL), result);
  CHECK_EQ(thrum_dial_tcp("name", "80"), expected);
  CHECK_EQ(thrum_listen_tcp("name", "80"), expected);
}

static void errors(void) {
  thrumi_os.look_up = fail;
  check_error(EAI_NONAME, 0, -ENOENT);
  check_error(EAI_SERVICE, 0, -ENOENT);
  check_error(EAI_AGAIN, 0, -EAGAIN);
  check_error(EAI_FAIL, 0, -EIO);
  check_error(EAI_MEMORY, 0, -ENOMEM);
  check_error(EAI_FAMILY, 0, -EAFNOSUPPORT);
  check_error(EAI_SYSTEM, -EMFILE, -EMFILE);
  thrumi_os.look_up = look_up;
}

/* ---- Programs of their own ------------------------------------------------------------------------------------------------------ */

/* The end does not wait for a look-up, abandoned or not. */
static int ends_beside_a_look_up(void) {
  thrumi_os.look_up = look_up;
  thrum_thread abandons = must_spawn(resolve, never), waits = must_spawn(resolve, never);
  AWAIT(LOAD(under_way) == 2);
  cancel_thread(abandons);
  CHECK_EQ(must_join(abandons), -ECANCELED);
  cancel_thread(waits); /* the program waits for it */
  return 0;
}

/* While all that could run waits for libc, that is no deadlock; afterwards one is one. */
static int sleep_a_little(const char *host, const char *port, const struct addrinfo *hints,
                          struct addrinfo **out, int *error) {
  bool numeric = hints && hints->ai_flags & AI_NUMERICHOST;
  if (!numeric) usleep(100000);
  return thrumi_os_linux.look_up(numeric ? host : "127.0.0.1", port, hints, out, error);
}

static int deadlock_after_it(void) {
  static thrum_event nobody_sets_it;
  thrumi_os.look_up = sleep_a_little;
  CHECK_EQ(resolve(quick), 0);
  CHECK_EQ(resolve_for(quick, THRUM_MS(1)), -ETIMEDOUT);
  if (TESTS_TSAN) return 0; /* it has a kernel thread that might wake somebody, for all that thrum knows */
  thrum_event_wait(&nobody_sets_it);
  return 0;
}

static const struct child_case cases[] = {
    {"ends-beside-a-look-up", ends_beside_a_look_up}, {"deadlock-after-it", deadlock_after_it}, {0}};

static void programs_of_their_own(void) {
  struct child child = child_run("ends-beside-a-look-up");
  CHECK_STATUS(child, 0);
  child_free(&child);
  child = child_run("deadlock-after-it");
  CHECK_STATUS(child, TESTS_TSAN ? 0 : THRUM_EXIT_DEADLOCK);
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  programs_of_their_own();
  as_libc_does(NULL);
  thrumi_os.look_up = look_up;
  numeric_ones_need_no_helper();
  others_run();
  waits_end_early();
  both_leave_at_once();
  bounded();
  abandoned_ones_count();
  errors();
  return 0;
}

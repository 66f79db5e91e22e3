/* Who names addresses for a dump is in a dump like everybody, with all of its stack; a fork does not wait for it; and a dump that
 * comes out of the midst of that, from the handler of a crash, comes to its end. */
#define _GNU_SOURCE 1
#include "../dumped.h"
#include "../support.h"

#include <dump/dump.h>
#include <sched/report.h>
#include <sched/self.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool describing, walked, crashed;
static struct thrumi_thread *describer;
static uintptr_t asked_for; /* a question like no other */
static char text[1 << 16];

static size_t walk(const ucontext_t *context, uintptr_t low, uintptr_t high, uintptr_t *pcs, size_t max) {
  size_t n = thrumi_dump_walk(context, low, high, pcs, max);
  if (LOAD(describing)) STORE(walked, true);
  return n;
}

/* ---- In the midst of it, and walked ------------------------------------------------------------------------ */

static void describe_until_walked(uintptr_t pc, bool exact, struct thrumi_frame *out) {
  if (pc != asked_for) {
    thrumi_dump_describe(pc, exact, out);
    return;
  }
  *out = (struct thrumi_frame){.pc = pc};
  STORE(describing, true);
  while (!LOAD(walked)) continue;
}

static __attribute__((noinline)) void ask_for_a_name(void) {
  struct thrumi_frame frame;
  thrumi_describe(asked_for, true, &frame);
  CHECK_EQ(frame.pc, asked_for);
}

static intptr_t ask(void *arg) {
  STORE(describer, thrumi_self()->current);
  ask_for_a_name();
  return (intptr_t)arg;
}

static void the_describer_has_a_whole_stack(void) {
  static const struct thrumi_backtracer until_walked = {walk, describe_until_walked};
  thrumi_set_backtracer(&until_walked);
  thrum_thread t = must_spawn(ask, NULL);
  AWAIT(LOAD(describing));
  FILE *file = tmpfile();
  struct thrumi_sink sink = {.fd = fileno(file)};
  struct thrumi_holdings none = {0};
  uint64_t life = thrumi_load(&describer->life);
  thrumi_say_thread(&sink, describer, THRUMI_GENERATION(life), thrumi_os.now(), &none);
  thrumi_say(&sink, "\n");
  rewind(file);
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  fclose(file);
  const char *inner = strstr(text, "describe_until_walked"), *outer = strstr(text, "ask_for_a_name");
  if (!inner || !outer || inner > outer || !strstr(outer, "thrumi_thread_entry"))
    check_failed(__FILE__, __LINE__, "the stack of who describes:\n%s", text);
  must_join(t);
}

/* ---- In the midst of it, and forked ------------------------------------------------------------------------ */

/* The child has a thread less, which had the stack to describe on. */
static void a_fork_waits_for_no_description(void) {
  STORE(describing, false);
  STORE(walked, false);
  thrum_thread t = must_spawn(ask, NULL);
  AWAIT(LOAD(describing));
  pid_t child = fork();
  if (child == 0) {
    struct thrumi_frame frame;
    alarm(TESTS_HANG_S);
    thrumi_describe((uintptr_t)ask, true, &frame);
    _exit(strcmp(frame.function, "ask") == 0 ? 0 : 1);
  }
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  STORE(walked, true);
  must_join(t);
}

/* ---- In the midst of it, and crashed ------------------------------------------------------------------------- */

static void describe_and_crash(uintptr_t pc, bool exact, struct thrumi_frame *out) {
  if (pc == asked_for) {
    strcpy(text, dumped()); /* as the handler would */
    STORE(crashed, true);
  }
  thrumi_dump_describe(pc, exact, out);
}

static void a_crash_in_the_midst_is_dumped(void) {
  struct thrumi_frame frame;
  static const struct thrumi_backtracer crashing = {walk, describe_and_crash};
  thrumi_set_backtracer(&crashing);
  thrumi_describe(asked_for, true, &frame);
  CHECK(LOAD(crashed));
  if (!strstr(text, "\"MainThread\"") || !strstr(text, " [0x"))
    check_failed(__FILE__, __LINE__, "the dump of who crashed:\n%s", text);
  if (strstr(text, "describe_and_crash")) check_failed(__FILE__, __LINE__, "names in\n%s", text);
  if (!strstr(dumped(), "a_crash_in_the_midst_is_dumped"))
    check_failed(__FILE__, __LINE__, "no names after it");
}

int main(void) {
  asked_for = (uintptr_t)&asked_for;
  CHECK_EQ(thrum_set_workers(2), 0);
  the_describer_has_a_whole_stack();
  a_fork_waits_for_no_description();
  a_crash_in_the_midst_is_dumped();
  return 0;
}

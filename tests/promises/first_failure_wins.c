/* The first failure of a thread of a scope cancels the scope, and is what the close returns, with the thread's name and its
 * sentence. What is no failure does not; who only was cancelled has not failed; nothing of it goes to the uncaught hook but what
 * nobody reads. */
#include "scopes.h"

static int uncaught, uncaught_failure, uncaught_sum;
static char uncaught_sentence[512], uncaught_name[THRUM_NAME_MAX];

static thrum_lock noting;

static void note_uncaught(thrum_thread t, intptr_t failure, const char *sentence) {
  CHECK_EQ(thrum_is_alive(t), failure != -ENOSPC); /* who was given up with that has ended */
  thrum_lock_acquire(&noting);
  uncaught_failure = (int)failure;
  CHECK(thrum_name(t, uncaught_name, sizeof uncaught_name) >= 0);
  ADD(uncaught_sum, (int)failure);
  snprintf(uncaught_sentence, sizeof uncaught_sentence, "%s", sentence);
  ADD(uncaught, 1);
  thrum_lock_release(&noting);
}

static intptr_t fail_plainly(void *code) { return -(intptr_t)code; }
static intptr_t fail_with_sentence(void *code) {
  return thrum_fail((int)(intptr_t)code, "no such table: %s", "t1");
}
static intptr_t exit_failing(void *code) { thrum_exit(-(intptr_t)code); }

static intptr_t fails(thrum_fn *fn, const char *sentence) {
  thrum_scope s;
  open_plainly(&s);
  CHECK(!thrum_scope_cancelled(&s));
  thrum_thread held = spawn_into(&s, until_cancelled, NULL);
  for (int i = 0; i < 10; i++) spawn_away(&s, sleep_for_ever, NULL); /* their -ECANCELED is no failure */
  CHECK_EQ(thrum_scope_spawn_named(&s, NULL, fn, (void *)ENOENT, "culprit"), 0);
  CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED); /* the opener too */
  CHECK(thrum_scope_cancelled(&s));
  CHECK(thrum_cancelled());
  CHECK_EQ(thrum_scope_close(&s), -ENOENT);
  CHECK(!thrum_cancelled());
  CHECK_EQ(thrum_sleep(0), 0);
  CHECK_STR(thrum_failure(), sentence);
  CHECK_EQ(must_join(held), 0);
  return 0;
}

static intptr_t failures(void *arg) {
  fails(fail_plainly, "culprit: No such file or directory");
  fails(exit_failing, "culprit: No such file or directory");
  fails(fail_with_sentence, "culprit: no such table: t1");
  return (intptr_t)arg;
}

/* After the cancellation, too: a thread may fail while it cleans up. */
static intptr_t fail_when_cancelled(void *code) {
  CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
  return -(intptr_t)code;
}

static intptr_t fail_with_sentence_when_cancelled(void *code) {
  CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
  return fail_with_sentence(code);
}

/* One of them is first; the others are told to the hook, each once. */
static intptr_t one_wins(void *arg) {
  for (int round = 0; round < 50; round++) {
    thrum_scope s;
    int begun = 0;
    STORE(uncaught, 0);
    STORE(uncaught_sum, 0);
    open_plainly(&s);
    for (intptr_t i = 1; i <= 8; i++) {
      int error = thrum_scope_spawn(&s, NULL, fail_plainly, (void *)i);
      CHECK(error == 0 || thrum_scope_cancelled(&s));
      begun += !error;
    }
    int failure = thrum_scope_close(&s);
    CHECK(failure <= -1 && failure >= -8);
    CHECK_EQ(LOAD(uncaught), begun - 1);
    CHECK_EQ(LOAD(uncaught_sum) + failure, -begun * (begun + 1) / 2);
    char text[128];
    snprintf(text, sizeof text, ": %s", strerror(-failure));
    CHECK_HAS(thrum_failure(), text);
  }
  STORE(uncaught, 0);
  return (intptr_t)arg;
}

/* The hook hears of one that can be joined only if it is given up. */
static intptr_t all_but_the_first(void *arg) {
  thrum_scope s;
  open_plainly(&s);
  thrum_thread held = spawn_into(&s, fail_when_cancelled, (void *)EPERM);
  thrum_thread given_up = spawn_into(&s, fail_when_cancelled, (void *)ENOSPC);
  CHECK_EQ(thrum_scope_spawn_named(&s, NULL, fail_with_sentence_when_cancelled, (void *)EIO, "second"), 0);
  CHECK_EQ(thrum_scope_fail(&s, ENOENT, "first"), -ENOENT);
  CHECK_EQ(thrum_scope_close(&s), -ENOENT);
  CHECK_EQ(uncaught, 1);
  CHECK_EQ(uncaught_failure, -EIO);
  CHECK_STR(uncaught_name, "second");
  CHECK_STR(uncaught_sentence, "no such table: t1");
  CHECK_EQ(must_join(held), -EPERM);
  CHECK_EQ(uncaught, 1);
  CHECK_EQ(thrum_detach(given_up), 0);
  CHECK_EQ(uncaught, 2);
  CHECK_EQ(uncaught_failure, -ENOSPC);
  STORE(uncaught, 0);
  return (intptr_t)arg;
}

static intptr_t while_cleaning_up(void *arg) {
  thrum_scope s;
  open_plainly(&s);
  spawn_away(&s, fail_when_cancelled, (void *)EIO);
  thrum_scope_cancel(&s);
  CHECK_EQ(thrum_scope_close(&s), -EIO);
  return (intptr_t)arg;
}

static intptr_t no_failures(void *arg) {
  int error = 1;
  THRUM_SCOPE(s, .status = &error) {
    spawn_away(&s, return_it, (void *)5);
    spawn_away(&s, return_it, (void *)-4096);
    spawn_away(&s, return_it, &error);
  }
  CHECK_EQ(error, 0);
  THRUM_SCOPE(s, .status = &error) {
    spawn_away(&s, return_it, (void *)-ECANCELED);
  } /* nobody had cancelled it */
  CHECK_EQ(error, -ECANCELED);
  CHECK_HAS(thrum_failure(), "(return_it): ");
  return (intptr_t)arg;
}

/* The opener's own, or anybody's. */
static intptr_t fail_for(void *scope) {
  CHECK_EQ(thrum_scope_fail((thrum_scope *)scope, -EPROTO, "bad answer %d", 3), -EPROTO);
  CHECK_EQ(thrum_scope_fail((thrum_scope *)scope, EIO, "later"), -EIO);
  return 0;
}

static intptr_t own_failures(void *arg) {
  thrum_scope s;
  open_plainly(&s);
  spawn_away(&s, sleep_for_ever, NULL);
  CHECK_EQ(thrum_scope_fail(&s, EIO, "bad block"), -EIO);
  CHECK_EQ(thrum_scope_close(&s), -EIO);
  char text[128];
  snprintf(text, sizeof text, "%s: bad block", thrum_current_name());
  CHECK_STR(thrum_failure(), text);
  open_plainly(&s);
  CHECK_EQ(thrum_scope_spawn_named(&s, NULL, fail_for, &s, "teller"), 0);
  CHECK_EQ(thrum_scope_close(&s), -EPROTO);
  CHECK_STR(thrum_failure(), "teller: bad answer 3");
  CHECK_EQ(uncaught, 1);
  CHECK_EQ(uncaught_failure, -EIO);
  CHECK_STR(uncaught_name, "teller");
  CHECK_STR(uncaught_sentence, "later");
  STORE(uncaught, 0);
  open_plainly(&s);
  CHECK_EQ(thrum_scope_fail(&s, 0, "%s", ""), -EINVAL);
  CHECK_EQ(thrum_scope_close(&s), -EINVAL);
  return (intptr_t)arg;
}

static intptr_t unread(void *arg) {
  CHECK_EQ(LOAD(uncaught), 0); /* none of the above */
  THRUM_SCOPE(s) { CHECK_EQ(thrum_scope_spawn_named(&s, NULL, fail_plainly, (void *)EIO, "culprit"), 0); }
  CHECK_EQ(uncaught, 1);
  CHECK_EQ(uncaught_failure, -EIO);
  CHECK_STR(uncaught_sentence, "culprit: Input/output error");
  THRUM_SCOPE(s) { thrum_scope_cancel(&s); }
  THRUM_SCOPE_WITH(s, (&(thrum_scope_options){.size = sizeof(thrum_scope_options), .timeout = -1})) {
    CHECK_EQ(thrum_sleep(0), -ECANCELED);
  }
  CHECK_EQ(uncaught, 1);
  uncaught = 0;
  return (intptr_t)arg;
}

/* The failure of an inner scope is nothing to the outer one unless somebody says so. */
static intptr_t inner_scopes(void *arg) {
  int outer = 1, inner = 1;
  THRUM_SCOPE(o, .status = &outer) {
    THRUM_SCOPE(i, .status = &inner) { spawn_away(&i, fail_plainly, (void *)EIO); }
    CHECK_EQ(thrum_sleep(0), 0);
    CHECK(!thrum_scope_cancelled(&o));
  }
  CHECK_EQ(inner, -EIO);
  CHECK_EQ(outer, 0);
  return (intptr_t)arg;
}

int main(void) {
  thrum_fn *const tests[] = {failures,    one_wins,     all_but_the_first, while_cleaning_up,
                             no_failures, own_failures, inner_scopes,      unread};
  thrum_on_uncaught(note_uncaught);
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) run_in_each_kind(tests[i], NULL);
  return 0;
}

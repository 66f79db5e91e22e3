/* Names of shared memory: taken once, found by other programs, gone with their process however it ends, and by unlinking from
 * anywhere. Those who have the memory keep it, and a child of a fork keeps no name alive. */
#include "../support.h"

#include <fcntl.h>
#include <os/os.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static char name[64]; /* of this run alone */

struct shared {
  int go, reports;
  int64_t value;
};

static struct shared *data(thrum_shared_memory *m) { return (struct shared *)thrum_shared_memory_data(m); }

static thrum_shared_memory *make(void) {
  thrum_shared_memory *m = NULL;
  CHECK_EQ(thrum_shared_memory_create(&m, name, sizeof(struct shared), NULL), 0);
  return m;
}

static thrum_shared_memory *attach(void) {
  thrum_shared_memory *m = NULL;
  CHECK_EQ(thrum_shared_memory_attach(&m, name), 0);
  return m;
}

static void must_be_gone(void) {
  thrum_shared_memory *m = NULL;
  CHECK_EQ(thrum_shared_memory_attach(&m, name), -ENOENT);
}

/* A process of its own, with a pipe on which it says one byte. */
struct process {
  pid_t pid;
  int said;
};

static struct process start(void (*fn)(int say)) {
  int ends[2];
  CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(ends[0]);
    fn(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  return (struct process){pid, ends[0]};
}

static void say(int fd) { CHECK_EQ(write(fd, "x", 1), 1); }

static void hear(struct process p) {
  char c;
  CHECK_EQ(read(p.said, &c, 1), 1);
}

static int end(struct process p, int signo) {
  int status;
  if (signo) CHECK_EQ(kill(p.pid, signo), 0);
  CHECK_EQ(waitpid(p.pid, &status, 0), p.pid);
  close(p.said);
  return status;
}

/* ---- One process ----------------------------------------------------------------------------------------------------- */

static intptr_t taken_once(void *unused) {
  (void)unused;
  thrum_shared_memory *m = make(), *other = NULL;
  char with_slash[80];
  snprintf(with_slash, sizeof with_slash, "/%s", name);
  CHECK_EQ(thrum_shared_memory_create(&other, name, 1, NULL), -EEXIST);
  CHECK_EQ(thrum_shared_memory_create(&other, with_slash, 1, NULL), -EEXIST);
  CHECK_EQ(thrum_shared_memory_attach(&other, with_slash), 0);
  CHECK_STR(thrum_shared_memory_name(other), name);
  data(m)->value = 42;
  CHECK_EQ(data(other)->value, 42);
  thrum_shared_memory_close(other);
  thrum_shared_memory_close(m); /* not its name, nor what it holds */
  m = attach();
  CHECK_EQ(data(m)->value, 42);
  CHECK_EQ(thrum_shared_memory_unlink(m), 0);
  CHECK_EQ(thrum_shared_memory_unlink(m), -ENOENT);
  must_be_gone();
  CHECK_EQ(data(m)->value, 42);
  other = make(); /* another memory of that name */
  CHECK_EQ(data(other)->value, 0);
  CHECK_EQ(thrum_shared_memory_unlink(m), -ENOENT);
  thrum_shared_memory_close(m);
  CHECK_EQ(thrum_shared_memory_unlink(other), 0);
  thrum_shared_memory_close(other);
  return 0;
}

static void longest_name(void) {
  char longest[THRUM_SHARED_NAME_MAX] = {0};
  thrum_shared_memory *m, *again;
  memset(longest, 'n', sizeof longest - 1);
  memcpy(longest, name, strlen(name));
  CHECK_EQ(strlen(longest), THRUM_SHARED_NAME_MAX - 1);
  CHECK_EQ(thrum_shared_memory_create(&m, longest, 1, NULL), 0);
  CHECK_EQ(thrum_shared_memory_attach(&again, longest), 0);
  CHECK_STR(thrum_shared_memory_name(again), longest);
  CHECK_EQ(thrum_shared_memory_unlink(again), 0);
  thrum_shared_memory_close(again);
  thrum_shared_memory_close(m);
}

/* ---- Other processes, and other programs ---------------------------------------------------------------------------------- */

static void attach_in_child(int fd) {
  thrum_shared_memory *m = attach();
  data(m)->value++;
  say(fd);
}

static void exec_self(int fd) {
  (void)fd;
  execl("/proc/self/exe", "shared_memory_names", "attach", name, (char *)NULL);
  _exit(1);
}

static int after_exec(void) {
  thrum_shared_memory *m = attach();
  data(m)->value += 100;
  CHECK_EQ(thrum_shared_memory_unlink(m), 0); /* by who did not give it */
  CHECK_EQ(thrum_shared_memory_unlink(m), -ENOENT);
  must_be_gone();
  return 0;
}

static void found_by_others(void) {
  thrum_shared_memory *m = make();
  CHECK_EQ(end(start(attach_in_child), 0), 0);
  CHECK_EQ(data(m)->value, 1);
  CHECK_EQ(end(start(exec_self), 0), 0);
  CHECK_EQ(data(m)->value, 101);
  CHECK_EQ(thrum_shared_memory_unlink(m), -ENOENT);
  thrum_shared_memory_close(m);
  m = make();
  CHECK_EQ(thrum_shared_memory_unlink(m), 0);
  thrum_shared_memory_close(m);
}

/* An attacher that ends, in whatever way, takes nothing away. */
static void attach_and_stay(int fd) {
  attach_in_child(fd);
  for (;;) pause();
}

static void attaching_makes_no_owner(void) {
  thrum_shared_memory *m = make();
  const int ends[] = {SIGKILL, SIGTERM, SIGINT};
  for (int i = 0; i < 3; i++) {
    struct process p = start(attach_and_stay);
    hear(p);
    end(p, ends[i]);
    thrum_shared_memory_close(attach());
  }
  CHECK_EQ(data(m)->value, 3);
  CHECK_EQ(thrum_shared_memory_unlink(m), 0);
  thrum_shared_memory_close(m);
}

/* ---- The end of who gave it -------------------------------------------------------------------------------------------------- */

static void own_and_stay(int fd) {
  thrum_shared_memory *m = make();
  data(m)->value = 7;
  say(fd);
  for (;;) pause();
}

static void own_and_exit(int fd) {
  thrum_shared_memory *m = make();
  data(m)->value = 7;
  say(fd);
  while (!LOAD(data(m)->go)) thrum_sleep(THRUM_MS(1));
}

static void own_and_exec(int fd) {
  own_and_exit(fd);
  execl("/bin/sleep", "sleep", "1000", (char *)NULL);
}

/* With a child that is left behind: it has the memory, not the name. */
static void own_fork_and_stay(int fd) {
  thrum_shared_memory *m = make();
  data(m)->value = 7;
  if (fork() == 0) {
    close(fd);
    prctl(PR_SET_PDEATHSIG, 0);
    while (!LOAD(data(m)->go)) thrum_sleep(THRUM_MS(1));
    ADD(data(m)->reports, 1);
    _exit(0);
  }
  say(fd);
  for (;;) pause();
}

static void ends_with_its_process(void (*owner)(int fd), int signo) {
  struct process p = start(owner);
  hear(p);
  thrum_shared_memory *m = attach(), *new = NULL;
  CHECK_EQ(thrum_shared_memory_create(&new, name, 1, NULL), -EEXIST);
  STORE(data(m)->go, owner != own_fork_and_stay);
  if (owner == own_and_exec) {
    AWAIT((new = NULL, thrum_shared_memory_create(&new, name, 1, NULL)) == 0);
    end(p, SIGKILL);
  } else {
    end(p, signo);
    new = make(); /* at once */
  }
  CHECK_EQ(data(m)->value, 7);
  CHECK_EQ(thrum_shared_memory_unlink(new), 0);
  thrum_shared_memory_close(new);
  STORE(data(m)->go, 1);
  if (owner == own_fork_and_stay) AWAIT(LOAD(data(m)->reports) == 1);
  CHECK_EQ(thrum_shared_memory_unlink(m), 0); /* of the name that was: there is none to be found any more */
  thrum_shared_memory_close(m);
  must_be_gone();
}

static void nothing_is_left(void) {
  const int ends[] = {SIGKILL, SIGTERM, SIGINT, SIGABRT};
  for (int i = 0; i < 4; i++) ends_with_its_process(own_and_stay, ends[i]);
  ends_with_its_process(own_and_exit, 0);
  ends_with_its_process(own_and_exec, 0);
  ends_with_its_process(own_fork_and_stay, SIGKILL);
}

/* ---- Who gave it is stopped ------------------------------------------------------------------------------------------------- */

static intptr_t attach_cancelled(void *unused) {
  (void)unused;
  thrum_shared_memory *m;
  return thrum_shared_memory_attach(&m, name);
}

static void stopped_owner_is_waited_for(void) {
  struct process p = start(own_and_stay);
  hear(p);
  CHECK_EQ(kill(p.pid, SIGSTOP), 0);
  CHECK_EQ(waitpid(p.pid, NULL, WUNTRACED), p.pid);
  thrum_shared_memory *m = NULL;
  CHECK_EQ(thrum_shared_memory_attach_for(&m, name, THRUM_MS(20)), -ETIMEDOUT);
  thrum_thread t = must_spawn(attach_cancelled, NULL);
  thrum_yield();
  CHECK_EQ(thrum_cancel(t), 0);
  CHECK_EQ(must_join(t), -ECANCELED);
  CHECK_EQ(kill(p.pid, SIGCONT), 0);
  m = attach();
  CHECK_EQ(data(m)->value, 7);
  thrum_shared_memory_close(m);
  end(p, SIGKILL);
}

/* The name is taken away when the descriptor has come already. */
static thrum_shared_memory *taken_away;

static int64_t take_away_meanwhile(int fd) {
  CHECK_EQ(thrum_shared_memory_unlink(taken_away), 0);
  return thrumi_os_linux.memory_size(fd);
}

static void attached_too_late(void) {
  thrum_shared_memory *late = NULL;
  taken_away = make();
  thrumi_os.memory_size = take_away_meanwhile;
  CHECK_EQ(thrum_shared_memory_attach(&late, name), -ENOENT);
  CHECK(late == NULL);
  thrumi_os.memory_size = thrumi_os_linux.memory_size;
  thrum_shared_memory_close(taken_away);
}

/* ---- Many ---------------------------------------------------------------------------------------------------------------------- */

static intptr_t race_for_it(void *unused) {
  (void)unused;
  for (int i = 0; i < 20; i++) {
    thrum_shared_memory *m = NULL;
    int error = thrum_shared_memory_create(&m, name, 64, NULL);
    if (error == -EEXIST) error = thrum_shared_memory_attach(&m, name);
    if (error == -ENOENT) continue;
    CHECK_EQ(error, 0);
    ADD(data(m)->reports, 1);
    error = thrum_shared_memory_unlink(m);
    CHECK(error == 0 || error == -ENOENT);
    thrum_shared_memory_close(m);
  }
  return 0;
}

static void raced_for(void) {
  static struct crowd crowd;
  crowd_start(&crowd, 8, race_for_it);
  crowd_join(&crowd);
  must_be_gone();
}

int main(int argc, char **argv) {
  if (argc == 3) {
    snprintf(name, sizeof name, "%s", argv[2]);
    return after_exec();
  }
  snprintf(name, sizeof name, "thrum-test-names-%d", getpid());
  run_in_each_kind(taken_once, NULL);
  longest_name();
  attached_too_late();
  raced_for();
  if (TESTS_TSAN) return 0; /* a child with threads of its own is nothing for ThreadSanitizer */
  found_by_others();
  attaching_makes_no_owner();
  nothing_is_left();
  stopped_owner_is_waited_for();
  return 0;
}

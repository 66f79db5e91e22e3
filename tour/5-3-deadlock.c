/* A deadlock, and its report
 *
 * One thread holds `here` and wants `there`, another one holds `there` and wants `here`: neither will ever go on. A
 * Python program then stands still in silence. thrum notices that nothing can ever run again: it names each thread, the
 * lock it waits for and who holds that one, and ends the program with a status of its own, 86. Ctrl-\ prints the
 * same for a program that lives. Below, a child process does it; then all take `here` first, and all is well. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thrum.h>

static thrum_lock here, there;
static thrum_barrier both_hold_one = THRUM_BARRIER_INIT(2);

struct way {
  thrum_lock *first, *second;
  bool meet; /* so that it happens each time, and not once in a million */
};

static intptr_t transfer(void *arg) {
  const struct way *way = arg;
  thrum_lock_acquire(way->first);
  if (way->meet) thrum_barrier_wait(&both_hold_one);
  thrum_lock_acquire(way->second);
  thrum_print("%s has both\n", thrum_current_name());
  thrum_lock_release(way->second);
  thrum_lock_release(way->first);
  return 0;
}

static int run(struct way forth, struct way back) {
  thrum_thread threads[2] = {0};
  thrum_spawn_named(&threads[0], transfer, &forth, "forth");
  thrum_spawn_named(&threads[1], transfer, &back, "back");
  for (int i = 0; i < 2; i++) thrum_join(threads[i], NULL);
  return 0;
}

int main(void) {
  pid_t child = fork();
  if (child == 0) {
    dup2(1, 2); /* the report goes to standard error */
    return run((struct way){&here, &there, true}, (struct way){&there, &here, true});
  }
  int status = 0;
  waitpid(child, &status, 0);
  printf("the child ended with status %d\n\n", WEXITSTATUS(status));
  fflush(stdout);
  return run((struct way){&here, &there, false}, (struct way){&here, &there, false});
}

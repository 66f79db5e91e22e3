/* What a thread costs, and what a process
 *
 * Measured here and now, for light threads, for bound ones, which own a kernel thread each, and for processes:
 *
 *   start     to start one that does nothing, and to wait for its end
 *   memory    that one more takes while it waits
 *   switch    from one to another one and back, half of it: threads by two events, processes by a message of one byte
 *
 * A process is a whole address space with tables and pages of its own, and the kernel is asked for each switch. So there are a few of
 * them, for as many CPUs, and each is given work in large pieces; threads can be as many as there are things to wait for. */
#include <stdio.h>
#include <string.h>

#include <thrum.h>

enum { LIGHT = 2000, BOUND = 100, PROCESSES = 10, TURNS = 2000 };

static double ns_since(thrum_time begun, int n) { return (double)(thrum_now() - begun) / n; }

/* The first number behind that word in a file of /proc, times 1,024. */
static double kilobytes(const char *file, const char *word) {
  FILE *f = fopen(file, "r");
  char line[200];
  double found = 0;
  while (f && fgets(line, sizeof line, f))
    if (strncmp(line, word, strlen(word)) == 0) sscanf(line + strlen(word), ": %lf", &found);
  if (f) fclose(f);
  return found * 1024;
}

/* ---- Threads ----------------------------------------------------------------------------------------------- */

static thrum_waitgroup coming;
static thrum_event gate;
static thrum_event turn[2];

static intptr_t nothing(void *arg) { return (intptr_t)arg; }

static intptr_t wait_at_gate(void *unused) {
  (void)unused;
  thrum_waitgroup_done(&coming);
  thrum_event_wait(&gate);
  return 0;
}

static void spawn(thrum_thread *t, bool bound, thrum_fn *fn, void *arg) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.bound = bound;
  thrum_spawn_with(t, &options, fn, arg);
}

static double start_threads(bool bound, int n) {
  thrum_time begun = thrum_now();
  for (int i = 0; i < n; i++) {
    thrum_thread t;
    spawn(&t, bound, nothing, NULL);
    thrum_join(t, NULL);
  }
  return ns_since(begun, n);
}

static double memory_of_threads(bool bound, int n) {
  static thrum_thread threads[LIGHT];
  thrum_event_clear(&gate);
  double before = kilobytes("/proc/self/status", "VmRSS");
  thrum_waitgroup_add(&coming, n);
  for (int i = 0; i < n; i++) spawn(&threads[i], bound, wait_at_gate, NULL);
  thrum_waitgroup_wait(&coming);
  double after = kilobytes("/proc/self/status", "VmRSS");
  thrum_event_set(&gate);
  for (int i = 0; i < n; i++) thrum_join(threads[i], NULL);
  return (after - before) / n;
}

static intptr_t take_turns(void *number) {
  intptr_t me = (intptr_t)number;
  for (int i = 0; i < TURNS; i++) {
    thrum_event_wait(&turn[me]);
    thrum_event_clear(&turn[me]);
    thrum_event_set(&turn[!me]);
  }
  return 0;
}

static double switch_threads(bool bound) {
  thrum_thread one, other;
  thrum_event_set(&turn[0]); /* the first one's; the last one leaves it so */
  thrum_time begun = thrum_now();
  spawn(&one, bound, take_turns, (void *)0);
  spawn(&other, bound, take_turns, (void *)1);
  thrum_join(one, NULL);
  thrum_join(other, NULL);
  return ns_since(begun, 2 * TURNS);
}

/* ---- Processes --------------------------------------------------------------------------------------------------- */

/* Sends each message back, until there are no more. */
THRUM_TASK(echo) {
  thrum_conn *line = NULL;
  char byte;
  int error = thrum_conn_open(&line, thrum_inherited_fd(0), THRUM_CONN_READ | THRUM_CONN_WRITE);
  if (error) return error;
  while (thrum_conn_recv(line, &byte, 1) == 1) thrum_conn_send(line, &byte, 1);
  thrum_conn_close(line);
  return 0;
}

THRUM_TASK(end_at_once) { return 0; }

static double start_processes(int n) {
  thrum_time begun = thrum_now();
  for (int i = 0; i < n; i++) {
    thrum_process *process = NULL;
    thrum_process_start(&process, NULL, &end_at_once, NULL, 0);
    thrum_process_join(process, NULL);
    thrum_process_release(process);
  }
  return ns_since(begun, n);
}

/* What is the process's alone. */
static double memory_of(const thrum_process *process) {
  char file[60];
  snprintf(file, sizeof file, "/proc/%d/smaps_rollup", (int)thrum_process_pid(process));
  return kilobytes(file, "Private_Dirty") + kilobytes(file, "Private_Clean");
}

static void measure_a_process(double *memory, double *turns) {
  thrum_process_options options = THRUM_PROCESS_OPTIONS_INIT;
  thrum_process *process = NULL;
  thrum_conn *line[2] = {0};
  char byte = 0;
  if (thrum_conn_pair(line) != 0) return;
  int theirs = thrum_conn_fd(line[1]);
  options.descriptors = &theirs;
  options.descriptor_count = 1;
  thrum_process_start(&process, &options, &echo, NULL, 0);
  thrum_conn_close(line[1]);
  thrum_time begun = thrum_now();
  for (int i = 0; i < TURNS; i++) {
    thrum_conn_send(line[0], &byte, 1);
    thrum_conn_recv(line[0], &byte, 1);
  }
  *turns = ns_since(begun, 2 * TURNS);
  *memory = memory_of(process);
  thrum_conn_close(line[0]); /* there are no more */
  thrum_process_join(process, NULL);
  thrum_process_release(process);
}

static void print_row(const char *what, double start, double memory, double turns) {
  thrum_print("%-14s %10.2f us %10.0f KiB %10.2f us\n", what, start / 1e3, memory / 1024, turns / 1e3);
}

/* In a light thread: main owns a kernel thread, and each time that it waits for a light one the kernel switches. */
static intptr_t measure(void *unused) {
  double memory = 0, turns = 0;
  thrum_print("%-14s %13s %14s %13s\n", "", "start", "memory", "switch");
  start_threads(false, LIGHT); /* stacks are kept for the next ones */
  print_row("light thread", start_threads(false, LIGHT), memory_of_threads(false, LIGHT),
            switch_threads(false));
  print_row("bound thread", start_threads(true, BOUND), memory_of_threads(true, BOUND), switch_threads(true));
  start_processes(1); /* so that the fork server is there */
  double start = start_processes(PROCESSES);
  measure_a_process(&memory, &turns);
  print_row("process", start, memory, turns);
  return (intptr_t)unused;
}

int main(int argc, char **argv) {
  thrum_process_main(argc, argv);
  return (int)thrum_run(measure, NULL);
}

/* How an attendant gets its process, and what it says of it in the end. */
#define _GNU_SOURCE
#include <io/netpoll.h>
#include <process/pool.h>

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The CPU of a seat: of those that this process may use, one after the other. */
static void choose_cpu(uint32_t seat, cpu_set_t *set) {
  cpu_set_t all;
  CPU_ZERO(set);
  if (sched_getaffinity(0, sizeof all, &all) != 0) return;
  int wanted = CPU_COUNT(&all) ? (int)(seat % (uint32_t)CPU_COUNT(&all)) : 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &all) && wanted-- == 0) CPU_SET(cpu, set);
}

/* Starts it with its ends of the board and of the connection. */
static int start(struct thrumi_attendant *a, const int *descriptors, thrum_process **out) {
  const struct thrumi_process_pool *p = a->pool;
  cpu_set_t cpu;
  thrum_process_options options = THRUM_PROCESS_OPTIONS_INIT;
  options.name = a->name;
  options.method = p->method;
  options.descriptors = descriptors;
  options.descriptor_count = THRUMI_HAND_FDS;
  if (p->pinned) {
    choose_cpu(a->seat, &cpu);
    options.affinity = &cpu;
    options.affinity_size = sizeof cpu;
  }
  return thrum_process_start(out, &options, thrumi_hand_task(), p->hiring, p->hiring_size);
}

/* The signal of thrum_executor_signal may have come while it was being started. */
static void present(struct thrumi_attendant *a, thrum_process *process) {
  struct thrumi_process_pool *p = a->pool;
  thrum_lock_acquire(&p->lock);
  a->process = process;
  a->sent = 0;
  a->alone = false;
  p->started++;
  int killed = p->killed;
  thrum_lock_release(&p->lock);
  if (killed) thrum_process_signal(process, killed);
}

static void close_own_end(struct thrumi_attendant *a, thrum_conn *own) {
  if (own) thrumi_flight_give_up(&a->flight, THRUMI_FLIGHT_POST);
  thrum_conn_close(own);
}

/* The other end is the process's alone, and in the flight until it has that. */
static int open_own_end(struct thrumi_attendant *a, thrum_conn **own) {
  int error = thrumi_flight_streams(&a->flight, THRUMI_FLIGHT_POST);
  if (error) return error;
  thrumi_descriptor_made(a->flight.fds[THRUMI_FLIGHT_POST], THRUMI_FD_UNKNOWN);
  return thrum_conn_open(own, a->flight.fds[THRUMI_FLIGHT_POST], THRUM_CONN_BOTH);
}

static int start_with(struct thrumi_attendant *a, int memory, struct thrumi_board *board) {
  thrum_conn *own = NULL;
  thrum_process *process = NULL;
  int error = open_own_end(a, &own);
  int descriptors[THRUMI_HAND_FDS] = {
      [THRUMI_HAND_BOARD] = memory, [THRUMI_HAND_CONN] = a->flight.fds[THRUMI_FLIGHT_POST + 1]};
  if (!error) error = start(a, descriptors, &process);
  thrumi_flight_close(&a->flight, THRUMI_FLIGHT_POST + 1);
  if (error) {
    close_own_end(a, own);
    return error;
  }
  thrumi_post_open(&a->post, board, 0, own);
  present(a, process);
  return 0;
}

int thrumi_attendant_hire(struct thrumi_attendant *a) {
  int memory = thrumi_os.memory_create(sizeof(struct thrumi_board));
  if (memory < 0) return memory;
  thrumi_flight_begin(&a->flight, NULL);
  a->flight.fds[THRUMI_FLIGHT_BOARD] = memory;
  struct thrumi_board *board = thrumi_os.map(memory, sizeof *board);
  int error = board ? start_with(a, memory, board) : -ENOMEM;
  thrumi_flight_close(&a->flight, THRUMI_FLIGHT_BOARD);
  if (error && board) munmap(board, sizeof *board);
  if (error) thrumi_flight_end(&a->flight);
  a->introduced = NULL;
  a->number = a->delivered = 0;
  a->starved = a->killed = false;
  a->fault = NULL;
  a->initializing = a->pool->hiring->name_size != 0;
  return error;
}

static void say_how(struct thrumi_attendant *a, int error, int code) {
  char *why = a->why;
  size_t size = sizeof a->why;
  int n = snprintf(why, size, "process %s (%d) ", thrum_process_name(a->process),
                   (int)thrum_process_pid(a->process));
  if (n < 0 || (size_t)n >= size) return;
  if (error)
    snprintf(why + n, size - (size_t)n, "has ended, and how is not known");
  else if (code < 0)
    snprintf(why + n, size - (size_t)n, "was killed by signal %d (%s)%s", -code, strsignal(-code),
             code == -SIGKILL && a->fault ? a->fault : "");
  else
    snprintf(why + n, size - (size_t)n, "ended with exit code %d", code);
}

/* Of one whose threads take long to end as well. What cannot be waited for just now is looked at again. */
static int await_end(struct thrumi_attendant *a, int *code) {
  while (thrum_process_is_alive(a->process)) {
    int error = thrum_process_join_for(a->process, NULL, thrumi_attendant_pause(a));
    if (error == -ETIMEDOUT)
      thrumi_attendant_call_back(a);
    else if (error)
      thrum_sleep(THRUM_MS(1));
  }
  return thrum_process_exit_code(a->process, code);
}

void thrumi_attendant_dismiss(struct thrumi_attendant *a) {
  struct thrumi_process_pool *p = a->pool;
  int code = 0, error = await_end(a, &code);
  say_how(a, error, code);
  thrum_lock_acquire(&p->lock);
  thrum_process *process = a->process;
  a->process = NULL;
  thrum_lock_release(&p->lock);
  thrum_process_release(process);
  thrumi_flight_give_up(&a->flight, THRUMI_FLIGHT_POST);
  thrumi_post_close(&a->post);
  thrumi_flight_end(&a->flight);
}

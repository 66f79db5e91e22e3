/* Functions for `thrum dis`: each is one case of what it tells of instructions. tests/tools/dis.py compiles this file in several
 * ways, and says what is to be found in each function. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <thrum.h>

#define CASE __attribute__((noinline, visibility("default")))

struct node {
  struct node *next;
  long n;
};

long counter;
_Atomic long exact;
double sum;
_Thread_local long mine;
struct node *head;
thrum_lock lock;
pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

CASE void adds(void);
CASE void adds(void) { counter += 1; }

CASE void adds_atomically(void);
CASE void adds_atomically(void) { exact++; }

CASE void adds_doubles(double by);
CASE void adds_doubles(double by) { sum += by; }

/* A variable of libc's, which the loader copies into a program. */
CASE void adds_to_libc(void);
CASE void adds_to_libc(void) { optind++; }

CASE void adds_to_own(int i);
CASE void adds_to_own(int i) {
  long *p = &mine;
  mine++;
  p[i] += 2;
}

CASE void by_pointer(struct node *n);
CASE void by_pointer(struct node *n) { n->n++; }

CASE void element(long *table, int i);
CASE void element(long *table, int i) { table[i]++; }

CASE struct node *pops(void);
CASE struct node *pops(void) {
  struct node *first = head;
  head = first->next;
  return first;
}

CASE void only_sets(long value);
CASE void only_sets(long value) { counter = value; }

CASE void parks_in_between(void);
CASE void parks_in_between(void) {
  long old = counter;
  thrum_sleep(THRUM_MS(1));
  counter = old + 1;
}

CASE void locked(void);
CASE void locked(void) {
  THRUM_LOCKED(&lock) { only_sets(3); }
}

CASE intptr_t hello(void *arg);
CASE intptr_t hello(void *arg) { return thrum_print("%d Hello!\n", *(int *)arg) + 1; }

CASE void yields_last(void);
CASE void yields_last(void) { thrum_yield(); }

CASE void leaves(void);
CASE void leaves(void) { thrum_exit(7); }

CASE thrum_thread asks(void);
CASE thrum_thread asks(void) { return thrum_current(); }

CASE long blocks(int fd);
CASE long blocks(int fd) {
  char byte = 0;
  if (read(fd, &byte, 1) == 1) printf("%d %s\n", byte, "read");
  usleep(1);
  pthread_mutex_lock(&mutex);
  return pthread_mutex_unlock(&mutex);
}

/* A function of the program's own, with the name of one of libc's that blocks. */
CASE int flock(int fd, int operation);
CASE int flock(int fd, int operation) { return fd ^ operation; }

CASE int calls_own(int n);
CASE int calls_own(int n) { return flock(n, 3) + 1; }

CASE long calls_unknown(long (*fn)(long));
CASE long calls_unknown(long (*fn)(long)) { return fn(3) + 1; }

CASE void take(int *p);
CASE void take(int *p) { __asm__ volatile("" ::"r"(p) : "memory"); }

CASE int own_local(int n);
CASE int own_local(int n) {
  volatile int total = 0;
  for (int i = 0; i < n; i++) total += i;
  return total;
}

CASE int lent_local(void);
CASE int lent_local(void) {
  int n = 0;
  take(&n);
  n++;
  take(&n);
  return n;
}

CASE __attribute__((cold)) void seldom(void);
CASE __attribute__((cold)) void seldom(void) { thrum_yield(); }

CASE void has_cold_part(long n);
CASE void has_cold_part(long n) {
  if (n < 0) {
    seldom();
    seldom();
  }
  counter = n;
}

CASE void calls_deep(void);
CASE void calls_deep(void) {
  has_cold_part(counter);
  adds();
}

int main(int argc, char **argv) {
  (void)argv;
  int n = argc;
  adds();
  locked();
  return hello(&n) < 0;
}

/* What is indivisible: machine instructions
 *
 * A Python thread that has to give up the CPU first finishes its current bytecode; dis.dis(hello) shows them.
 * A C thread is stopped between any two machine instructions. `thrum dis` shows those of hello, and says where
 * else it may lose its worker: in thrum_print. x += 1 is load, add and store, or one instruction that does all
 * three, which two CPUs may still do at once: another thread may load the old value meanwhile. The atomic
 * addition cannot be divided. */
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <thrum.h>

volatile long x;
atomic_long y;

intptr_t hello(void *arg);
void plainly(void);
void indivisibly(void);

intptr_t hello(void *arg) { return thrum_print("%d Hello!\n", *(int *)arg); }

void plainly(void) { x += 1; }

void indivisibly(void) { atomic_fetch_add(&y, 1); }

/* This process becomes a shell that disassembles the program: by `thrum dis`, or by objdump where that was not built. */
int main(void) {
  char self[4096] = "";
  static const char script[] =
      "for f in hello plainly indivisibly; do"
      "  if [ -n \"$2\" ]; then \"$2\" dis \"$1\" $f; echo;"
      "  else objdump -d --no-show-raw-insn --disassemble=$f \"$1\" | sed -n \"/<$f>:/,/^$/p\"; fi;"
      "done";
  if (readlink("/proc/self/exe", self, sizeof self - 1) > 0)
    execl("/bin/sh", "sh", "-c", script, "sh", self, TOUR_THRUM, (char *)NULL);
  perror("4-3-instructions");
  return 1;
}

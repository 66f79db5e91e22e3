/* A program outside of thrum's tree that links libthrum-dump: its dump has functions and lines. */
#include <thrum.h>

__attribute__((noinline)) int dump_from_here(void);
int dump_from_here(void) {
  int status = thrum_dump(1); /* line 6 */
  __asm__ volatile("");
  return status;
}

int main(void) { return dump_from_here() ? 1 : 0; }

/* The server of the inspect socket. */
#ifndef THRUMI_INSPECT_SERVER_H
#define THRUMI_INSPECT_SERVER_H

#include <inspect/inspect.h>

struct thrumi_inspection {
  int listener;
  int stop; /* an eventfd: readable once the server is to end */
  struct thrumi_place place;
};

/* Until it is to stop. Outside, on a kernel thread that blocks all signals. */
void thrumi_inspect_serve(const struct thrumi_inspection *own);

/* In the child of a fork: closes what the server had open. */
void thrumi_inspect_forget(void);

#endif

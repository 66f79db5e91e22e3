/* thrum top on a terminal. */
#ifndef THRUM_TOP_SCREEN_H
#define THRUM_TOP_SCREEN_H

#include "snapshot.h"

/* Shows it every `interval` seconds until the user has enough, or the program ends. The exit status. */
int screen_run(struct client *c, double interval, enum order order);

#endif

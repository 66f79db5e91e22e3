/* Terminals in blocking mode: writes that do not wait. */
#ifndef THRUMI_TERMINAL_H
#define THRUMI_TERMINAL_H

#include <stdbool.h>

/* Whether it is one, of either side. */
bool thrumi_is_terminal(int fd);

/* A descriptor of the same terminal, for writing, in non-blocking mode, which is the caller's to close; -1: it is not to be had, as of a
 * master. */
int thrumi_terminal_anew(int fd);

#endif

/* Processes, and what they share.
 *
 * process/conn.h     connections that carry whole messages: pairs, pipes, listeners and clients with a key */
#ifndef THRUM_PROCESS_H
#define THRUM_PROCESS_H

#include <thrum/process/conn.h>

#endif

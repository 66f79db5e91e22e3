/* Processes, and what they share.
 *
 * process/conn.h     connections that carry whole messages: pairs, pipes */
#ifndef THRUM_PROCESS_H
#define THRUM_PROCESS_H

#include <thrum/process/conn.h>
#include <thrum/process/listener.h>

#endif

/* Processes, and what they share.
 *
 * process/conn.h     connections that carry whole messages: pairs, pipes
 * process/listener.h addresses to be dialed, and who dials them, with a key
 * process/manager.h  a process that keeps queues, locks and maps for others, also of other machines
 * process/memory.h   shared memory, named and unnamed, and a heap in it
 * process/pool.h     an executor whose tasks run in processes
 * process/process.h  processes: starting, joining, ending them; tasks in them, commands
 * process/queue.h    queues of messages in shared memory
 * process/sync.h     locks, conditions, semaphores, events, barriers in shared memory */
#ifndef THRUM_PROCESS_H
#define THRUM_PROCESS_H

#include <thrum/process/conn.h>
#include <thrum/process/listener.h>
#include <thrum/process/manager.h>
#include <thrum/process/memory.h>
#include <thrum/process/pool.h>
#include <thrum/process/process.h>
#include <thrum/process/queue.h>
#include <thrum/process/sync.h>

#endif

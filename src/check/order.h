/* The lock-order checker: who takes locks in an order that another thread reverses is told before it hangs.
 *
 * Locks are seen by *class*: all locks of one name are one class; else each variable is one; else all that were acquired first
 * at one place. While a thread holds h and waits for n, there is an edge from h's class to n's. A cycle of edges can become a
 * deadlock, and is reported once. docs/design/deadlocks.md has the rules. */
#ifndef THRUMI_ORDER_H
#define THRUMI_ORDER_H

#include <check/observe.h>

/* The caller is about to acquire, and may wait for ever. Outside: it prints. */
void thrumi_order_check(const struct thrumi_acquire *a);

void thrumi_order_fork(void);

#endif

// executor.cpp's workloads.
#ifndef TBB_EXECUTOR_H
#define TBB_EXECUTOR_H

void executor_run(long n);
void executor_1us_run(long n);
void executor_100us_run(long n);

#endif

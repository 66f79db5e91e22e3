// A C++ program: requests are served by light threads that park in the middle of try, catch and destructors,
// and whose failures travel as exceptions within a thread and as results between threads.
#include "../support.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

enum { REQUESTS = 200 };

// An open pipe, closed by its destructor.
class Pipe {
public:
  Pipe() { CHECK_EQ(pipe(fds_), 0); }
  ~Pipe() {
    thrum_close(fds_[0]);
    thrum_close(fds_[1]);
  }
  Pipe(const Pipe &) = delete;
  Pipe &operator=(const Pipe &) = delete;
  int in() const { return fds_[0]; }
  int out() const { return fds_[1]; }

private:
  int fds_[2];
};

static int transactions_open, rolled_back;

// Rolls back while the exception that caused it is in flight, and parks for that.
class Transaction {
public:
  explicit Transaction(const Pipe &log) : log_(log) { ADD(transactions_open, 1); }
  ~Transaction() {
    if (!committed_) {
      char c;
      CHECK_EQ(thrum_sleep(THRUM_US(20)), 0);
      CHECK_EQ(thrum_write(log_.out(), "r", 1), 1);
      CHECK_EQ(thrum_read(log_.in(), &c, 1), 1);
      ADD(rolled_back, 1);
    }
    ADD(transactions_open, -1);
  }
  void commit() { committed_ = true; }

private:
  const Pipe &log_;
  bool committed_ = false;
};

struct request {
  int number;
  Pipe log;
  std::string answer;
};

static void serve(request &r) {
  Transaction transaction(r.log);
  thrum_yield();
  if (r.number % 3 == 0) throw std::invalid_argument("request " + std::to_string(r.number));
  transaction.commit();
  r.answer = "served " + std::to_string(r.number);
}

static intptr_t serve_thread(void *arg) {
  request &r = *static_cast<request *>(arg);
  try {
    serve(r);
    return 0;
  } catch (const std::invalid_argument &e) {
    CHECK_EQ(thrum_sleep(THRUM_US(20)), 0);
    return thrum_fail(EINVAL, "%s", e.what());
  }
}

static void check_result(const request &r, thrum_thread t) {
  intptr_t result = must_join(t);
  if (r.number % 3 == 0) {
    CHECK_EQ(result, -EINVAL);
    CHECK_STR(thrum_failure(), ("request " + std::to_string(r.number)).c_str());
  } else {
    CHECK_EQ(result, 0);
    CHECK_STR(r.answer.c_str(), ("served " + std::to_string(r.number)).c_str());
  }
}

int main() {
  std::vector<std::unique_ptr<request>> requests;
  std::vector<thrum_thread> threads;
  for (int i = 0; i < REQUESTS; i++) {
    requests.emplace_back(new request{i, {}, {}});
    threads.push_back(must_spawn(serve_thread, requests.back().get()));
  }
  for (int i = 0; i < REQUESTS; i++) check_result(*requests[(size_t)i], threads[(size_t)i]);
  CHECK_EQ(transactions_open, 0);
  CHECK_EQ(rolled_back, (REQUESTS + 2) / 3);
  return 0;
}

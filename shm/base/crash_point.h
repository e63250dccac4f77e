// Named places at which a test can make a process die, to show that dying there is harmless.
// CRASH_POINT("worker.after_log") is one relaxed load of a flag in a normal run; with
// DEJA_CRASH_POINT=name in the environment (and DEJA_CRASH_AFTER=n to pass it n times first) the
// process kills itself there with SIGKILL, as a stranger would, or with DEJA_CRASH_SIGNAL (SEGV,
// BUS, ILL, FPE, ABRT: as if the code there were broken; STOP: as if it hung).
// CRASH_POINT_FOR("worker.poison_apply", bytes, size) is one for which only these bytes count:
// those of DEJA_CRASH_KEY, where that is set. Any thread.
//
// DEJA_CRASH_VISITED names a file to which the name of every point that was died at is added: the
// suite as a whole is held to visit them all.
//
// A test that forks its victims can't go by the environment, which is read once: it has arm(), and
// observe() to learn which points a run meets. Both before the first thread.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace deja {

class CrashPoints {
 public:
  static bool armed() { return instance().name_ != nullptr; }

  /// As the variables do, for a test; a null key: everybody counts.
  static void arm(const char* name, long passes, int signal = SIGKILL, const char* key = nullptr) {
    instance().name_ = name;
    instance().signal_ = signal;
    instance().key_ = key;
    instance().passes_left_.store(passes, std::memory_order_relaxed);
  }
  /// Calls `visitor` at every point instead of dying; nullptr ends that. For a test.
  static void observe(void (*visitor)(const char* name)) {
    instance().visitor_ = visitor;
    instance().name_ = visitor != nullptr ? "" : nullptr;
  }

  static void reach(const char* name) {
    CrashPoints& points = instance();
    if (points.visitor_ != nullptr) return points.visitor_(name);
    if (std::strcmp(points.name_, name) != 0) return;
    if (points.passes_left_.fetch_sub(1, std::memory_order_relaxed) > 0) return;
    points.note_visit(name);
    raise(points.signal_);
    for (;;) pause();
  }
  static void reach_for(const char* name, const char* bytes, std::size_t size) {
    const char* key = instance().key_;
    if (key != nullptr && (std::strlen(key) != size || std::memcmp(key, bytes, size) != 0)) return;
    reach(name);
  }

 private:
  CrashPoints() : name_(std::getenv("DEJA_CRASH_POINT")), key_(std::getenv("DEJA_CRASH_KEY")) {
    if (const char* count = std::getenv("DEJA_CRASH_AFTER")) {
      passes_left_.store(std::atol(count), std::memory_order_relaxed);
    }
    if (const char* signal = std::getenv("DEJA_CRASH_SIGNAL")) signal_ = number_of(signal);
  }
  void note_visit(const char* name) const {
    if (visited_ == nullptr) return;
    const int file = open(visited_, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0) return;
    char line[128];
    const int size = std::snprintf(line, sizeof line, "%s\n", name);
    (void)!write(file, line, static_cast<std::size_t>(size));
    close(file);
  }
  static CrashPoints& instance() {
    static CrashPoints points;
    return points;
  }
  static int number_of(const char* name) {
    struct Named {
      const char* name;
      int number;
    };
    for (const Named& signal :
         {Named{"SEGV", SIGSEGV}, Named{"BUS", SIGBUS}, Named{"ILL", SIGILL}, Named{"FPE", SIGFPE},
          Named{"ABRT", SIGABRT}, Named{"STOP", SIGSTOP}}) {
      if (std::strcmp(signal.name, name) == 0) return signal.number;
    }
    return SIGKILL;
  }

  const char* name_;
  const char* key_;
  const char* visited_ = std::getenv("DEJA_CRASH_VISITED");
  int signal_ = SIGKILL;
  void (*visitor_)(const char*) = nullptr;
  std::atomic<long> passes_left_{0};
};

}  // namespace deja

#define CRASH_POINT(name)                                               \
  do {                                                                  \
    if (::deja::CrashPoints::armed()) ::deja::CrashPoints::reach(name); \
  } while (false)

#define CRASH_POINT_FOR(name, bytes, size)                                               \
  do {                                                                                   \
    if (::deja::CrashPoints::armed()) ::deja::CrashPoints::reach_for(name, bytes, size); \
  } while (false)

#include "tuning/measure/run_tool.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>

#include "shm/base/clock.h"
#include "shm/base/descriptor.h"
#include "tuning/cpu_set.h"
#include "tuning/measure/tool_output.h"

namespace deja::tuning {
namespace {

constexpr std::size_t kOutputBytesMax = std::size_t{1} << 20U;
constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr double kGraceSeconds = 20;

/// Reads until its end, the deadline or the bound. False: there was no end.
bool read_all(int descriptor, std::int64_t deadline_ns, std::string& output) {
  char piece[4096];
  for (;;) {
    const std::int64_t left_ns = deadline_ns - steady_ns();
    if (left_ns <= 0 || output.size() > kOutputBytesMax) return false;
    struct pollfd ready {
      descriptor, POLLIN, 0
    };
    if (poll(&ready, 1, static_cast<int>(left_ns / 1'000'000) + 1) <= 0) continue;
    const ssize_t got = read(descriptor, piece, sizeof piece);
    if (got == 0) return true;
    if (got < 0 && errno != EINTR) return true;
    if (got > 0) output.append(piece, static_cast<std::size_t>(got));
  }
}

/// The end of what a program said, for a sentence.
std::string last_words(const std::string& output) {
  const std::string_view text = trimmed(output);
  const std::size_t line = text.rfind('\n');
  std::string words(text.substr(line == std::string_view::npos ? 0 : line + 1).substr(0, 200));
  std::replace_if(
      words.begin(), words.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return words;
}

CpuSet set_of(const std::vector<int>& cores) {
  CpuSet set;
  for (const int core : cores) set.add(core);
  return set;
}

bool has_tracers(const Tree& tree) {
  for (const char* directory : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
    const auto tracers = tree.read_value(std::string(directory) + "/available_tracers");
    if (!tracers) continue;
    const std::string words = " " + *tracers + " ";
    return words.find(" osnoise ") != std::string::npos &&
           words.find(" timerlat ") != std::string::npos;
  }
  return false;
}

void keep(const Result<std::string>& output, const std::string& name,
          const std::vector<ToolLine>& lines, Measurement& measurement) {
  if (!output) {
    measurement.notes.push_back(output.error().message());
  } else if (lines.empty()) {
    measurement.notes.push_back(name + " said nothing that could be read: " + last_words(*output));
  }
  measurement.tools.insert(measurement.tools.end(), lines.begin(), lines.end());
}

void run_rtla(const std::string& cores, double seconds, Measurement& measurement) {
  const std::string duration = std::to_string(static_cast<int>(std::ceil(seconds))) + "s";
  const Result<std::string> noise =
      run_program({"rtla", "osnoise", "top", "-q", "-c", cores, "-d", duration}, seconds);
  keep(noise, "rtla osnoise", noise ? read_osnoise(*noise) : std::vector<ToolLine>{}, measurement);
  const Result<std::string> timers =
      run_program({"rtla", "timerlat", "top", "-q", "-c", cores, "-d", duration}, seconds);
  keep(timers, "rtla timerlat", timers ? read_timerlat(*timers) : std::vector<ToolLine>{},
       measurement);
}

void run_cyclictest(const std::vector<int>& cores, double seconds, Measurement& measurement) {
  // --default-system: by itself it would hold the cores out of deep sleep, and hide what is asked.
  const Result<std::string> output =
      run_program({"cyclictest", "--default-system", "--mlockall", "--priority=80",
                   "--interval=1000", "--distance=0", "--threads=" + std::to_string(cores.size()),
                   "--affinity=" + set_of(cores).list(),
                   "--duration=" + std::to_string(static_cast<int>(std::ceil(seconds))), "--quiet"},
                  seconds);
  std::vector<int> ascending = cores;
  std::sort(ascending.begin(), ascending.end());
  keep(output, "cyclictest", output ? read_cyclictest(*output, ascending) : std::vector<ToolLine>{},
       measurement);
}

}  // namespace

Result<std::string> run_program(const std::vector<std::string>& arguments, double seconds_max) {
  const std::string what = "run " + arguments.front();
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return system_error(what);
  const Descriptor read_end(ends[0]);
  Descriptor write_end(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, write_end.number(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, write_end.number(), STDERR_FILENO);
  std::vector<char*> words;
  for (const std::string& word : arguments) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  pid_t child = 0;
  errno = posix_spawnp(&child, words[0], &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (errno != 0) return system_error(what);
  write_end.reset();
  std::string output;
  const auto length_ns =
      static_cast<std::int64_t>((seconds_max + kGraceSeconds) * static_cast<double>(kSecondNs));
  const bool has_ended = read_all(read_end.number(), steady_ns() + length_ns, output);
  if (!has_ended) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!has_ended) return Error{what + ": did not come to an end", 0, {}};
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return Error{what + ": " + last_words(output), 0, {}};
  }
  return output;
}

void measure_with_tools(const Tree& tree, const std::string& which, const std::vector<int>& cores,
                        double seconds, Measurement& measurement) {
  if (which == "none") return;
  if (which == "rtla" || (which == "auto" && has_tracers(tree))) {
    run_rtla(set_of(cores).list(), seconds, measurement);
    return;
  }
  if (which == "auto") {
    measurement.notes.emplace_back(
        "this kernel has no osnoise and timerlat tracers, or tracefs is not mounted: no rtla");
  }
  run_cyclictest(cores, seconds, measurement);
}

}  // namespace deja::tuning

#include "tools/serve/next_program.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string_view>

#include "shm/base/clock.h"
#include "shm/base/descriptor.h"
#include "shm/layout_hash.h"

namespace deja {
namespace {

constexpr const char* kInheritance = "DEJA_INHERITED_SOCKETS";
constexpr std::string_view kDeleted = " (deleted)";
constexpr std::int64_t kAnswerNsMax = 60'000'000'000;
constexpr std::size_t kSaidBytesMax = std::size_t{64} << 10U;

/// Where a process's program lay when it was started, and whether another file lies there now.
struct Program {
  std::string path;
  bool replaced = false;
};

std::optional<Program> program_of(const std::string& process) {
  const std::string link = "/proc/" + process + "/exe";
  char path[4096];
  const ssize_t bytes = readlink(link.c_str(), path, sizeof path);
  if (bytes <= 0) return std::nullopt;
  Program program{std::string(path, static_cast<std::size_t>(bytes)), false};
  if (program.path.ends_with(kDeleted)) {
    program.path.resize(program.path.size() - kDeleted.size());
    program.replaced = true;
  }
  struct stat running {};
  struct stat there {};
  if (stat(link.c_str(), &running) == 0 && stat(program.path.c_str(), &there) == 0) {
    program.replaced = running.st_ino != there.st_ino || running.st_dev != there.st_dev;
  }
  return program;
}

std::vector<std::string> own_arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> arguments;
  for (std::string argument; std::getline(file, argument, '\0');) arguments.push_back(argument);
  return arguments;
}

}  // namespace

std::string layout_text(std::uint32_t version, std::uint32_t hash) {
  char text[32];
  std::snprintf(text, sizeof text, "%u-%08x", version, hash);
  return text;
}

std::string layout_text() {
  return layout_text(kLayoutVersion, layout_hash());
}

std::optional<NextProgram> NextProgram::find() {
  const auto program = program_of("self");
  if (!program || !program->replaced || access(program->path.c_str(), X_OK) != 0) {
    return std::nullopt;
  }
  return NextProgram(program->path);
}

Result<std::string> NextProgram::run(Crew& crew, std::vector<std::string> arguments,
                                     bool& succeeded) const {
  const Descriptor said(memfd_create("deja-said", MFD_CLOEXEC));
  if (!said.open()) return system_error("make a file in memory");
  ChildCommand command;
  command.program = path_;
  command.arguments = std::move(arguments);
  command.output = said.number();
  auto child = Child::start(command);
  if (!child.ok()) return child.error();
  Child::End end;
  const std::int64_t deadline_ns = steady_ns() + kAnswerNsMax;
  while (!child->ended(end)) {
    if (crew.stop_requested() || steady_ns() > deadline_ns) {
      child->signal(SIGKILL);
      static_cast<void>(child->wait(10'000, end));
      return Error{"the new " + path_ + " does not answer", 0, "Run its deja validate by hand"};
    }
    crew.attend(10);
  }
  succeeded = end.exit == Child::Exit::kClean;
  std::string text(kSaidBytesMax, '\0');
  const ssize_t bytes = pread(said.number(), text.data(), text.size(), 0);
  text.resize(bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

Status NextProgram::validate(Crew& crew, const std::string& config) const {
  bool succeeded = false;
  auto said = run(crew, {"validate", "-c", config}, succeeded);
  if (!said.ok()) return said.error();
  if (!succeeded) return Error{"the new program refuses the config:\n" + *said, 0, ""};
  return Done{};
}

std::string NextProgram::layout(Crew& crew) const {
  constexpr std::string_view kTitle = "segment layout ";
  bool succeeded = false;
  const auto said = run(crew, {"--version"}, succeeded);
  if (!said.ok() || !succeeded) return {};
  const std::size_t at = said->find(kTitle);
  if (at == std::string::npos) return {};
  const std::size_t begin = at + kTitle.size();
  return said->substr(begin, said->find_first_of(")\n", begin) - begin);
}

Error NextProgram::become(const std::vector<int>& sockets) const {
  std::string numbers;
  for (const int socket : sockets) {
    fcntl(socket, F_SETFD, 0);
    numbers += (numbers.empty() ? "" : " ") + std::to_string(socket);
  }
  setenv(kInheritance, numbers.c_str(), 1);
  std::vector<std::string> arguments = own_arguments();
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  execv(path_.c_str(), pointers.data());
  const int reason = errno;
  unsetenv(kInheritance);
  for (const int socket : sockets) fcntl(socket, F_SETFD, FD_CLOEXEC);
  return Error{"become the new " + path_, reason, "Install it again"};
}

std::optional<std::vector<int>> take_inheritance() {
  const char* numbers = std::getenv(kInheritance);
  if (numbers == nullptr) return std::nullopt;
  std::vector<int> sockets;
  const std::string text = numbers;
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    int number = 0;
    const auto [stopped, fault] = std::from_chars(at, end, number);
    if (fault != std::errc{}) break;
    if (number > STDERR_FILENO) sockets.push_back(number);
    at = stopped < end ? stopped + 1 : end;
  }
  unsetenv(kInheritance);
  return sockets;
}

bool runs_replaced_program(pid_t pid) {
  const auto program = program_of(std::to_string(pid));
  return !program || program->replaced;
}

}  // namespace deja

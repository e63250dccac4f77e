#include "tools/top/screen.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "shm/base/clock.h"

namespace deja {
namespace {

bool write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDOUT_FILENO, text.data(), text.size());
    if (written > 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (written < 0 && errno == EAGAIN) {
      // A terminal that its shell left so: wait until it takes more.
      pollfd out{STDOUT_FILENO, POLLOUT, 0};
      if (poll(&out, 1, 1000) < 0 && errno != EINTR) return false;
    } else if (written == 0 || errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace

TerminalSize terminal_size() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
    return {};
  }
  return {size.ws_col, size.ws_row};
}

Screen::Screen() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGWINCH}) sigaddset(&set, number);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_ = Descriptor(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  has_keys_ = tcgetattr(STDIN_FILENO, &before_) == 0;
  if (has_keys_) {
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;  // stopped, it would leave the terminal as it has it
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  }
  // The other page; no cursor; a line that is too long is not wrapped.
  static_cast<void>(write_all("\033[?1049h\033[?25l\033[?7l"));
}

Screen::~Screen() {
  static_cast<void>(write_all("\033[?7h\033[?25h\033[?1049l"));
  if (has_keys_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

Screen::Woken Screen::wait(std::int64_t timeout_us) {
  const std::int64_t until_us = steady_ns() / 1000 + timeout_us;
  while (true) {
    const std::int64_t left_us = until_us - steady_ns() / 1000;
    if (left_us <= 0) return Woken::kTime;
    pollfd inputs[] = {{signals_.number(), POLLIN, 0}, {has_keys_ ? STDIN_FILENO : -1, POLLIN, 0}};
    if (poll(inputs, 2, static_cast<int>(left_us / 1000) + 1) < 0 && errno != EINTR) {
      return Woken::kQuit;
    }
    signalfd_siginfo signal{};
    if (read(signals_.number(), &signal, sizeof signal) == sizeof signal) {
      return signal.ssi_signo == SIGWINCH ? Woken::kResized : Woken::kQuit;
    }
    if (inputs[1].revents == 0) continue;
    char key = 0;
    if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q') return Woken::kQuit;
  }
}

bool Screen::show(const std::vector<std::string>& lines) {
  std::string text = "\033[H";
  for (std::size_t at = 0; at < lines.size(); ++at) {
    if (at > 0) text += "\n";
    text += lines[at] + "\033[K";
  }
  return write_all(text + "\033[J");
}

}  // namespace deja

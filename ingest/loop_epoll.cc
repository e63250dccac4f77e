#include "ingest/loop_epoll.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "ingest/loop_receive.h"

namespace deja {
namespace {

constexpr std::size_t kEventsMax = 256;
constexpr std::uint32_t kAcceptsPerEvent = 16;  // then the others have their turn

}  // namespace

Result<std::unique_ptr<EpollRing>> EpollRing::create(const Options& options) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return system_error("set up epoll", "Raise RLIMIT_NOFILE");
  return std::unique_ptr<EpollRing>(new EpollRing(epoll, options));
}

EpollRing::EpollRing(int epoll, const Options& options)
    : epoll_(epoll), watches_(256), buffer_(options.buffer_bytes), events_(kEventsMax) {
  queued_.reserve(options.entries);
}

EpollRing::~EpollRing() {
  ::close(epoll_);
}

EpollRing::Watch& EpollRing::watch(int descriptor) {
  const auto at = static_cast<std::size_t>(descriptor);
  if (at >= watches_.size()) watches_.resize(std::max(at + 1, watches_.size() * 2));
  return watches_[at];
}

/// Tells epoll what is under way on a descriptor, where that has changed: 0 or -errno.
int EpollRing::update(int descriptor) {
  Watch& watched = watch(descriptor);
  std::uint32_t wanted = 0;
  if (watched.receiving != kNobody || watched.polling != kNobody) wanted |= EPOLLIN;
  if (watched.sending != kNobody) wanted |= EPOLLOUT;
  // One connection wakes one thread, not all.
  if (watched.accepting != kNobody) wanted |= EPOLLIN | EPOLLEXCLUSIVE;
  if (wanted == watched.interest) return 0;
  const int operation = watched.interest == 0 ? EPOLL_CTL_ADD
                        : wanted == 0         ? EPOLL_CTL_DEL
                                              : EPOLL_CTL_MOD;
  epoll_event event{};
  event.events = wanted;
  event.data.fd = descriptor;
  if (epoll_ctl(epoll_, operation, descriptor, &event) != 0) {
    return errno == ENOSPC ? -ENOMEM : -errno;
  }
  watched.interest = wanted;
  return 0;
}

void EpollRing::begin(int descriptor, std::uint64_t Watch::*operation, std::uint64_t user_data) {
  watch(descriptor).*operation = user_data;
  const int failure = update(descriptor);
  if (failure == 0) return;
  watch(descriptor).*operation = kNobody;
  queue(user_data, failure);
}

void EpollRing::queue(std::uint64_t user_data, std::int32_t result) {
  if (user_data != kNobody) queued_.push_back({user_data, result, false, {}});
}

void EpollRing::prepare_listener(int listener) {
  const int flags = fcntl(listener, F_GETFL);
  if (flags >= 0) (void)fcntl(listener, F_SETFL, flags | O_NONBLOCK);
}

void EpollRing::accept(int listener, std::uint64_t user_data) {
  begin(listener, &Watch::accepting, user_data);
}

void EpollRing::receive(int socket, std::uint64_t user_data) {
  begin(socket, &Watch::receiving, user_data);
}

void EpollRing::poll_readable(int descriptor, std::uint64_t user_data) {
  begin(descriptor, &Watch::polling, user_data);
}

void EpollRing::send(int socket, std::span<const std::uint8_t> bytes, std::uint64_t user_data) {
  const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent >= 0) return queue(user_data, static_cast<std::int32_t>(sent));
  if (!is_for_later(errno)) return queue(user_data, -errno);
  watch(socket).unsent = bytes;
  begin(socket, &Watch::sending, user_data);
}

void EpollRing::shutdown_write(int socket, std::uint64_t user_data) {
  queue(user_data, ::shutdown(socket, SHUT_WR) == 0 ? 0 : -errno);
}

void EpollRing::close(int descriptor, std::uint64_t user_data) {
  watch(descriptor) = Watch{};  // epoll forgets it by itself
  queue(user_data, ::close(descriptor) == 0 ? 0 : -errno);
}

void EpollRing::cancel(int descriptor, std::uint64_t target) {
  Watch& watched = watch(descriptor);
  for (const auto operation :
       {&Watch::accepting, &Watch::receiving, &Watch::polling, &Watch::sending}) {
    if (watched.*operation != target) continue;
    watched.*operation = kNobody;
    (void)update(descriptor);
    return queue(target, -ECANCELED);
  }
}

void EpollRing::look(int timeout_ms) {
  if (has_events()) return;
  const int count =
      epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), timeout_ms);
  next_event_ = 0;
  event_count_ = count > 0 ? static_cast<std::size_t>(count) : 0;  // a signal is as good as none
}

void EpollRing::submit() {
  look(0);
}

void EpollRing::submit_and_wait(std::int64_t bound_ns) {
  const bool something = next_queued_ < queued_.size();
  look(something ? 0 : static_cast<int>((bound_ns + 999'999) / 1'000'000));
}

bool EpollRing::ready() {
  if (next_queued_ < queued_.size() || has_events()) return true;
  look(0);
  return has_events();
}

std::uint32_t EpollRing::take_completions(std::uint32_t count_max, CompletionHandler& handler) {
  std::uint32_t count = 0;
  while (count < count_max && next_queued_ < queued_.size()) {
    const LoopCompletion completion = queued_[next_queued_++];  // the handler may queue more
    handler.on_completion(completion);
    ++count;
  }
  if (next_queued_ == queued_.size()) {
    queued_.clear();
    next_queued_ = 0;
  }
  while (count < count_max && has_events()) {
    const epoll_event event = events_[next_event_++];
    count += serve(event, handler);
  }
  return count;
}

std::uint32_t EpollRing::serve(const epoll_event& event, CompletionHandler& handler) {
  // Each look anew: the handler may have ended what was under way.
  const int descriptor = event.data.fd;
  std::uint32_t count = 0;
  if (watch(descriptor).accepting != kNobody) count += serve_accept(descriptor, handler);
  if (watch(descriptor).polling != kNobody && (event.events & EPOLLIN) != 0) {
    handler.on_completion({watch(descriptor).polling, EPOLLIN, true, {}});
    ++count;
  }
  if (watch(descriptor).receiving != kNobody) count += serve_receive(descriptor, handler);
  if (watch(descriptor).sending != kNobody) count += serve_send(descriptor, handler);
  return count;
}

std::uint32_t EpollRing::serve_accept(int listener, CompletionHandler& handler) {
  std::uint32_t count = 0;
  while (count < kAcceptsPerEvent && watch(listener).accepting != kNobody) {
    const std::uint64_t user_data = watch(listener).accepting;
    const int socket = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    const int failure = errno;
    if (socket < 0 && is_for_later(failure)) break;
    if (socket < 0) {
      watch(listener).accepting = kNobody;
      (void)update(listener);
    }
    handler.on_completion({user_data, socket >= 0 ? socket : -failure, socket >= 0, {}});
    ++count;
  }
  return count;
}

std::uint32_t EpollRing::serve_receive(int socket, CompletionHandler& handler) {
  const std::uint64_t user_data = watch(socket).receiving;
  LoopCompletion completion{user_data, 0, false, {}};
  if (!receive_now(socket, buffer_, completion)) return 0;
  if (!completion.more) {
    watch(socket).receiving = kNobody;
    (void)update(socket);
  }
  handler.on_completion(completion);
  return 1;
}

std::uint32_t EpollRing::serve_send(int socket, CompletionHandler& handler) {
  Watch& watched = watch(socket);
  const std::uint64_t user_data = watched.sending;
  const ssize_t sent =
      ::send(socket, watched.unsent.data(), watched.unsent.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && is_for_later(errno)) return 0;
  const std::int32_t result = sent >= 0 ? static_cast<std::int32_t>(sent) : -errno;
  watched.sending = kNobody;
  (void)update(socket);
  handler.on_completion({user_data, result, false, {}});
  return 1;
}

}  // namespace deja

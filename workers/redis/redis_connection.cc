#include "workers/redis/redis_connection.h"

#include <hiredis/hiredis.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>

#include "shm/base/clock.h"

namespace deja {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;
/// Longest wait between two calls of while_waiting.
constexpr int kWaitSliceMs = 2;
constexpr std::size_t kReceiveBytes = 64 * 1024;

void append_length(std::string& output, char kind, std::size_t length) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, length).ptr;
  output.push_back(kind);
  output.append(digits, end);
  output.append("\r\n");
}

}  // namespace

void RedisConnection::FreeContext::operator()(redisContext* context) const {
  redisFree(context);
}

RedisConnection::RedisConnection(RedisUrl url, RedisLimits limits, WhileWaiting while_waiting,
                                 std::unique_ptr<redisContext, FreeContext> context)
    : url_(std::move(url)),
      limits_(limits),
      while_waiting_(std::move(while_waiting)),
      context_(std::move(context)) {}

Result<RedisConnection> RedisConnection::connect(const RedisUrl& url, const RedisLimits& limits,
                                                 WhileWaiting while_waiting) {
  redisContext* context = url.socket_path.empty()
                              ? redisConnectNonBlock(url.host.c_str(), url.port)
                              : redisConnectUnixNonBlock(url.socket_path.c_str());
  if (context == nullptr) return Error{"redis: no memory for a connection", ENOMEM, {}};
  RedisConnection connection(url, limits, std::move(while_waiting),
                             std::unique_ptr<redisContext, FreeContext>(context));
  if (context->err != 0) return connection.broken(context->errstr);
  if (Status connected = connection.await_connected(); !connected) return connected.error();
  if (Status greeted = connection.greet(); !greeted) return greeted.error();
  return connection;
}

Status RedisConnection::await_connected() {
  const std::int64_t deadline_ns = steady_ns() + limits_.connect_ms * kNsPerMs;
  if (Status writable = wait_for(POLLOUT, deadline_ns); !writable) return writable;
  int problem = 0;
  socklen_t bytes = sizeof problem;
  if (getsockopt(context_->fd, SOL_SOCKET, SO_ERROR, &problem, &bytes) != 0) problem = errno;
  if (problem != 0) return broken("connect", problem);
  return Done{};
}

Status RedisConnection::greet() {
  if (!url_.password.empty() || !url_.user.empty()) {
    Result<RedisReply> reply = url_.user.empty() ? command({"AUTH", url_.password})
                                                 : command({"AUTH", url_.user, url_.password});
    if (!reply) return reply.error();
    if (reply->is_error()) return broken(reply->text());
  }
  if (url_.database != 0) {
    Result<RedisReply> reply = command({"SELECT", std::to_string(url_.database)});
    if (!reply) return reply.error();
    if (reply->is_error()) return broken(reply->text());
  }
  return Done{};
}

Error RedisConnection::broken(std::string_view what, int error_number) const {
  return Error{url_.shown() + ": " + std::string(what), error_number, {}};
}

void RedisConnection::append(std::span<const std::string_view> arguments) {
  append_length(output_, '*', arguments.size());
  for (const std::string_view argument : arguments) {
    append_length(output_, '$', argument.size());
    output_.append(argument).append("\r\n");
  }
  ++appended_count_;
}

Status RedisConnection::wait_for(short events, std::int64_t deadline_ns) {
  for (;;) {
    pollfd waiting{context_->fd, events, 0};
    const int ready = poll(&waiting, 1, kWaitSliceMs);
    if (ready > 0) return Done{};
    if (ready < 0 && errno != EINTR) return broken("poll", errno);
    if (while_waiting_) while_waiting_();
    if (steady_ns() > deadline_ns) return broken("no answer", ETIMEDOUT);
  }
}

Status RedisConnection::send_some(std::size_t& sent) {
  while (sent < output_.size()) {
    const ssize_t bytes =
        send(context_->fd, output_.data() + sent, output_.size() - sent, MSG_NOSIGNAL);
    if (bytes < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return Done{};
      if (errno == EINTR) continue;
      return broken("send", errno);
    }
    sent += static_cast<std::size_t>(bytes);
  }
  return Done{};
}

Result<bool> RedisConnection::receive_some() {
  char buffer[kReceiveBytes];
  for (;;) {
    const ssize_t bytes = recv(context_->fd, buffer, sizeof buffer, 0);
    if (bytes > 0) {
      if (redisReaderFeed(context_->reader, buffer, static_cast<std::size_t>(bytes)) != REDIS_OK) {
        return broken(context_->reader->errstr);
      }
      return true;
    }
    if (bytes == 0) return broken("closed by Redis");
    if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
    if (errno != EINTR) return broken("receive", errno);
  }
}

Status RedisConnection::exchange(const Visit& visit) {
  if (appended_count_ == 0) return Done{};
  const std::size_t asked = appended_count_;
  const std::string fence = "deja " + std::to_string(++fence_);
  append({"ECHO", fence});
  bool in_step = false;
  Status done = exchange_all([&](std::size_t index, RedisReply reply) {
    if (index < asked) return visit(index, std::move(reply));
    in_step = reply.text() == fence;
  });
  if (done.ok() && !in_step) return broken("its replies are not those to what was asked");
  return done;
}

Status RedisConnection::exchange_all(const Visit& visit) {
  const std::size_t expected = appended_count_;
  std::size_t answered = 0;
  std::size_t sent = 0;
  const auto deadline_ns = [&] { return steady_ns() + limits_.silence_ms * kNsPerMs; };
  Status outcome = Done{};
  while (answered < expected) {
    const std::size_t sent_before = sent;
    if (outcome = send_some(sent); !outcome) break;
    Result<bool> received = receive_some();
    if (!received) {
      outcome = received.error();
      break;
    }
    if (*received) {
      for (void* raw = nullptr; answered < expected; raw = nullptr) {
        if (redisReaderGetReply(context_->reader, &raw) != REDIS_OK) {
          outcome = broken(context_->reader->errstr);
          break;
        }
        if (raw == nullptr) break;
        visit(answered++, RedisReply(static_cast<redisReply*>(raw)));
      }
      if (!outcome) break;
      continue;
    }
    if (sent != sent_before) continue;
    const short events = sent < output_.size() ? short{POLLIN | POLLOUT} : short{POLLIN};
    if (outcome = wait_for(events, deadline_ns()); !outcome) break;
  }
  output_.clear();
  appended_count_ = 0;
  return outcome;
}

bool RedisConnection::alive() const {
  char byte = 0;
  // Anything but "nothing yet" is an end, or a word that nobody asked for.
  return recv(context_->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
         (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

Result<RedisReply> RedisConnection::command(std::initializer_list<std::string_view> arguments) {
  append(arguments);
  RedisReply answer;
  Status done = exchange_all([&](std::size_t, RedisReply reply) { answer = std::move(reply); });
  if (!done) return done.error();
  return answer;
}

}  // namespace deja

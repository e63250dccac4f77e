#include "workers/redis/redis_connection.h"

#include <hiredis/hiredis.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "shm/base/check.h"
#include "shm/base/clock.h"

namespace deja {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;
/// Longest wait between two calls of while_waiting.
constexpr int kWaitSliceMs = 2;
constexpr std::size_t kReceiveBytes = 64 * 1024;
/// Between two looks at a pipeline: a part of what the last exchange took, and no more than Redis
/// takes to empty the socket.
constexpr std::int64_t kNapsPerExchange = 4;
constexpr std::int64_t kNapMinUs = 100;
constexpr std::int64_t kNapMaxUs = 1000;
constexpr int kSocketBytes = 1 << 20U;
constexpr std::string_view kOutOfStep = "its replies are not those to what was asked";

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
  if (!url_.socket_path.empty()) {  // TCP finds its own size; as much as the host allows
    static_cast<void>(
        setsockopt(context_->fd, SOL_SOCKET, SO_SNDBUF, &kSocketBytes, sizeof kSocketBytes));
  }
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
  RespBuffer& output = append_command(arguments.size());
  for (const std::string_view argument : arguments) output.text(argument);
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

Status RedisConnection::send_some() {
  for (Exchange& exchange : under_way_) {
    while (exchange.sent < exchange.output.size()) {
      const ssize_t bytes = send(context_->fd, exchange.output.data() + exchange.sent,
                                 exchange.output.size() - exchange.sent, MSG_NOSIGNAL);
      if (bytes < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK) return Done{};
        if (errno == EINTR) continue;
        return broken("send", errno);
      }
      exchange.sent += static_cast<std::size_t>(bytes);
    }
  }
  return Done{};
}

std::size_t RedisConnection::unsent_bytes() const {
  std::size_t bytes = 0;
  for (const Exchange& exchange : under_way_) bytes += exchange.output.size() - exchange.sent;
  return bytes;
}

Result<std::size_t> RedisConnection::receive_some(char* into, std::size_t bytes) {
  for (;;) {
    const ssize_t received = recv(context_->fd, into, bytes, 0);
    if (received > 0) return static_cast<std::size_t>(received);
    if (received == 0) return broken("closed by Redis");
    if (errno == EAGAIN || errno == EWOULDBLOCK) return std::size_t{0};
    if (errno != EINTR) return broken("receive", errno);
  }
}

Result<std::size_t> RedisConnection::await_some(char* into, std::size_t bytes, Wait wait) {
  const auto silence_ends_ns = [&] { return steady_ns() + limits_.silence_ms * kNsPerMs; };
  std::int64_t deadline_ns = silence_ends_ns();
  for (;;) {
    const std::size_t unsent_before = unsent_bytes();
    if (Status sent = send_some(); !sent) return sent.error();
    Result<std::size_t> received = receive_some(into, bytes);
    if (!received || *received != 0) return received;
    const std::size_t unsent = unsent_bytes();
    if (unsent != unsent_before) deadline_ns = silence_ends_ns();
    const short events = unsent == 0 ? short{POLLIN} : short{POLLIN | POLLOUT};
    const Status waited =
        wait == Wait::kWoken ? wait_for(events, deadline_ns) : nap_until(deadline_ns);
    if (!waited) return waited.error();
  }
}

/// Redis answers a pipeline every few commands; being woken for each of these would cost more than
/// the writes do. The socket holds enough for it to do meanwhile.
Status RedisConnection::nap_until(std::int64_t deadline_ns) {
  usleep(static_cast<unsigned>(nap_us_));
  const std::int64_t now_ns = steady_ns();
  if (now_ns - waited_ns_ >= kWaitSliceMs * kNsPerMs) {
    if (while_waiting_) while_waiting_();
    waited_ns_ = now_ns;
  }
  if (now_ns > deadline_ns) return broken("no answer", ETIMEDOUT);
  return Done{};
}

void RedisConnection::close_appended() {
  next_.fence = "deja " + std::to_string(++fence_);
  append({"ECHO", next_.fence});
}

void RedisConnection::start_appended() {
  under_way_.push_back(std::move(next_));
  next_ = {};
  if (spare_.empty()) return;
  next_.output = std::move(spare_.back());
  spare_.pop_back();
}

void RedisConnection::end_oldest() {
  under_way_.front().output.clear();
  spare_.push_back(std::move(under_way_.front().output));
  under_way_.pop_front();
}

Status RedisConnection::exchange(const Visit& visit) {
  CHECK(under_way_.empty());
  if (next_.expected == 0) return Done{};
  const std::size_t asked = next_.expected;
  close_appended();
  const std::string fence = next_.fence;
  bool in_step = false;
  Status done = read_replies([&](std::size_t index, RedisReply reply) {
    if (index < asked) return visit(index, std::move(reply));
    in_step = reply.text() == fence;
  });
  if (done.ok() && !in_step) done = broken(kOutOfStep);
  return given_up_if_broken(std::move(done));
}

/// What was under way is of no use any more, and nothing may be sent or read out of step.
Status RedisConnection::given_up_if_broken(Status done) {
  if (done.ok()) return done;
  under_way_.clear();
  next_ = {};
  shutdown(context_->fd, SHUT_RDWR);
  return done;
}

/// Sends what was appended; all its replies, through hiredis' reader.
Status RedisConnection::read_replies(const Visit& visit) {
  start_appended();
  const std::size_t expected = under_way_.front().expected;
  std::size_t answered = 0;
  char buffer[kReceiveBytes];
  while (answered < expected) {
    const Result<std::size_t> received = await_some(buffer, sizeof buffer, Wait::kWoken);
    if (!received) return received.error();
    if (redisReaderFeed(context_->reader, buffer, *received) != REDIS_OK) {
      return broken(context_->reader->errstr);
    }
    for (void* raw = nullptr; answered < expected; raw = nullptr) {
      if (redisReaderGetReply(context_->reader, &raw) != REDIS_OK) {
        return broken(context_->reader->errstr);
      }
      if (raw == nullptr) break;
      visit(answered++, RedisReply(static_cast<redisReply*>(raw)));
    }
  }
  end_oldest();
  return Done{};
}

Status RedisConnection::begin_exchange() {
  CHECK(next_.expected != 0);
  close_appended();
  start_appended();
  return given_up_if_broken(send_some());
}

Status RedisConnection::finish_exchange(const ShortVisit& visit) {
  CHECK(!under_way_.empty());
  Status done = given_up_if_broken(read_short_replies(visit));
  const std::int64_t now_ns = steady_ns();
  // From one's end to the next's where they follow one another, as a whole pass does.
  nap_us_ = std::clamp((now_ns - finished_ns_) / 1000 / kNapsPerExchange, kNapMinUs, kNapMaxUs);
  finished_ns_ = now_ns;
  return done;
}

Status RedisConnection::read_short_replies(const ShortVisit& visit) {
  const std::size_t asked = under_way_.front().expected - 1;
  for (std::size_t answered = 0; answered <= asked;) {
    ShortReply reply;
    switch (short_replies_.next(reply)) {
      case ShortReplies::Outcome::kBroken:
        return broken("an answer that is none to what was asked");
      case ShortReplies::Outcome::kReply:
        if (answered < asked) visit(answered, reply);
        if (answered == asked && reply.text != under_way_.front().fence) return broken(kOutOfStep);
        ++answered;
        break;
      case ShortReplies::Outcome::kMore: {
        const ShortReplies::Room room = short_replies_.room();
        const Result<std::size_t> received = await_some(room.begin, room.bytes, Wait::kNapping);
        if (!received) return received.error();
        short_replies_.received(*received);
        break;
      }
    }
  }
  end_oldest();
  if (under_way_.empty() && !short_replies_.empty()) return broken(kOutOfStep);
  return Done{};
}

bool RedisConnection::alive() const {
  char byte = 0;
  // Anything but "nothing yet" is an end, or a word that nobody asked for.
  return recv(context_->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
         (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

Result<RedisReply> RedisConnection::command(std::initializer_list<std::string_view> arguments) {
  CHECK(under_way_.empty() && next_.expected == 0);
  append(arguments);
  RedisReply answer;
  Status done = given_up_if_broken(
      read_replies([&](std::size_t, RedisReply reply) { answer = std::move(reply); }));
  if (!done) return done.error();
  return answer;
}

}  // namespace deja

#include "ingest/http_connection.h"

#include <algorithm>
#include <string_view>

namespace deja {
namespace {

constexpr std::size_t kUnsentBytesMax = 1024 * 1024;
constexpr std::size_t kKeptBytes = 16 * 1024;
constexpr std::string_view kContinueBytes = "HTTP/1.1 100 Continue\r\n\r\n";

std::span<const std::uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

template <typename Buffer>
void empty(Buffer& buffer) {
  buffer.clear();
  if (buffer.capacity() > kKeptBytes) Buffer().swap(buffer);
}

}  // namespace

HttpConnection::HttpConnection(HttpService& service, const HttpLimits& limits, BufferBudget* budget)
    : service_(service), parser_(limits), share_(budget) {}

void HttpConnection::on_open(ConnectionOutput& output) {
  output_ = &output;
  parser_.set_peer(output.peer());
  part_ = Part::kNothing;
  first_ = count_ = 0;
  blocked_ = last_taken_ = closing_ = peer_ended_ = continue_due_ = false;
}

Next HttpConnection::on_receive(std::span<const std::uint8_t> bytes, std::int64_t received_us) {
  if (!backlog_.empty()) {
    backlog_.insert(backlog_.end(), bytes.begin(), bytes.end());
    read_backlog(received_us);
  } else {
    const std::size_t used = read(bytes, received_us);
    backlog_.insert(backlog_.end(), bytes.begin() + static_cast<std::ptrdiff_t>(used), bytes.end());
  }
  note_progress(received_us);
  stay_within_budget();
  return next();
}

Next HttpConnection::on_pass(std::int64_t now_us) {
  for (std::uint32_t at = 0; at < count_; ++at) {
    Slot& waiting = slot(at);
    if (waiting.progress == HttpProgress::kAnswered) continue;
    const bool was_blocked = waiting.progress == HttpProgress::kBlocked;
    waiting.progress = waiting.exchange->resume(now_us, waiting.answer);
    if (was_blocked && waiting.progress != HttpProgress::kBlocked) {
      blocked_ = false;
      parser_.next();
    }
  }
  send_answers();
  read_backlog(now_us);
  note_progress(now_us);
  return next();
}

// The clock of a part runs while we read: whoever is not read from can't send.
void HttpConnection::note_progress(std::int64_t now_us) {
  Part part = Part::kNothing;
  if (can_read() && backlog_.empty() && !parser_.between_requests()) {
    part = parser_.in_head() ? Part::kHead : Part::kBody;
  }
  if (part != part_) part_since_us_ = now_us;
  part_ = part;
}

bool HttpConnection::is_overdue(std::int64_t now_us) {
  const bool idle = count_ == 0 && backlog_.empty() && parser_.between_requests();
  if (idle && share_.scarce()) {
    parser_.reset();
    empty(backlog_);
    empty(bytes_);
  }
  (void)share_.hold(held_bytes());
  if (part_ == Part::kNothing) return false;
  part_since_us_ = std::min(part_since_us_, now_us);  // the clock may be set back
  return now_us - part_since_us_ >= (part_ == Part::kHead ? kHeadUs : kBodyUs);
}

Next HttpConnection::on_overdue() {
  refuse_request({408, "request_timeout", "the request did not arrive in time"});
  part_ = Part::kNothing;
  return next();
}

std::size_t HttpConnection::held_bytes() const {
  std::size_t bytes = parser_.held_bytes() + backlog_.capacity() + bytes_.capacity();
  bytes += output_->unsent_bytes();
  for (const Slot& one : slots_) {
    bytes += one.answer.body.capacity();
    if (one.exchange) bytes += one.exchange->held_bytes();
  }
  return bytes;
}

void HttpConnection::stay_within_budget() {
  // What waits for its answer will be done with; what is still arriving would go on growing.
  const bool arriving = can_read() && !(parser_.between_requests() && backlog_.empty());
  if (share_.hold(held_bytes()) || !arriving) return;
  refuse_request({503, "no_memory", "the appliance holds too much unfinished: try again later"});
  part_ = Part::kNothing;
}

bool HttpConnection::busy() const {
  return count_ != 0 || !backlog_.empty() || output_->unsent_bytes() > kUnsentBytesMax;
}

Next HttpConnection::on_end() {
  peer_ended_ = true;
  return next();
}

void HttpConnection::on_close() {
  for (std::uint32_t at = 0; at < count_; ++at) {
    Slot& left = slot(at);
    if (left.progress != HttpProgress::kAnswered) left.exchange->forget();
  }
  output_ = nullptr;
  first_ = count_ = 0;
  parser_.reset();
  empty(backlog_);
  empty(bytes_);
  // The pool keeps what a connection without pipelining needs.
  for (std::size_t at = 1; at < slots_.size(); ++at) slots_[at] = Slot();
  (void)share_.hold(0);
}

bool HttpConnection::can_read() const {
  return !blocked_ && !last_taken_ && count_ < kPipelineMax &&
         output_->unsent_bytes() <= kUnsentBytesMax;
}

/// Takes requests out of `bytes` as far as that goes; returns how many bytes are done with.
std::size_t HttpConnection::read(std::span<const std::uint8_t> bytes, std::int64_t received_us) {
  std::size_t done = 0;
  while (done < bytes.size() && can_read()) {
    std::size_t used = 0;
    const HttpParser::Outcome outcome = parser_.consume(bytes.subspan(done), used);
    done += used;
    if (outcome == HttpParser::Outcome::kRequest) {
      begin_request(received_us);
    } else if (outcome == HttpParser::Outcome::kFault) {
      refuse_request(parser_.fault());
    } else if (outcome == HttpParser::Outcome::kContinue) {
      continue_due_ = true;
      send_continue();
    } else {
      continue_due_ = continue_due_ && used == 0;  // the client did not wait for it
    }
  }
  // Behind the last request of a connection nothing is read any more.
  return last_taken_ ? bytes.size() : done;
}

void HttpConnection::read_backlog(std::int64_t now_us) {
  if (backlog_.empty()) return;
  const std::size_t used = read(backlog_, now_us);
  backlog_.erase(backlog_.begin(), backlog_.begin() + static_cast<std::ptrdiff_t>(used));
}

void HttpConnection::begin_request(std::int64_t received_us) {
  Slot& added = slot(count_++);
  if (!added.exchange) added.exchange = service_.make_exchange();
  const HttpRequest& request = parser_.request();
  added.keep_alive = request.keep_alive;
  added.without_body = request.method == HttpMethod::kHead;
  last_taken_ = !added.keep_alive;
  continue_due_ = false;
  part_ = Part::kNothing;  // the next one's clock begins with it
  added.answer.begin(200);
  added.progress = added.exchange->begin(request, received_us, added.answer);
  if (added.progress == HttpProgress::kBlocked) {
    blocked_ = true;
  } else {
    parser_.next();
  }
  send_answers();
}

void HttpConnection::refuse_request(const HttpFault& fault) {
  Slot& added = slot(count_++);
  added.keep_alive = false;
  added.without_body = false;
  last_taken_ = true;
  continue_due_ = false;
  added.answer.begin(400);
  service_.refuse(fault, added.answer);
  added.progress = HttpProgress::kAnswered;
  send_answers();
}

void HttpConnection::send_answers() {
  while (count_ != 0 && slot(0).progress == HttpProgress::kAnswered) {
    Slot& answered = slot(0);
    bytes_.clear();
    append_answer(bytes_, answered.answer, answered.keep_alive, answered.without_body);
    output_->write(as_bytes(bytes_));
    service_.on_answer(answered.answer.status);
    empty(answered.answer.body);
    if (!answered.keep_alive) closing_ = true;
    // Without pipelining one slot serves every request.
    first_ = --count_ == 0 ? 0 : (first_ + 1) % kPipelineMax;
  }
  send_continue();
}

void HttpConnection::send_continue() {
  if (!continue_due_ || count_ != 0 || closing_) return;
  continue_due_ = false;
  output_->write(as_bytes(kContinueBytes));
}

Next HttpConnection::next() {
  if (closing_) return Next::kClose;
  if (peer_ended_ && count_ == 0 && backlog_.empty()) return Next::kClose;
  return can_read() && backlog_.empty() ? Next::kReceive : Next::kPause;
}

}  // namespace deja

#include "ingest/http_parser.h"

#include <algorithm>
#include <cstring>

namespace deja {
namespace {

constexpr std::uint32_t kEmptyLinesMax = 2;  // before a request (RFC 9112, 2.2)

constexpr std::size_t kBodyKeptBytes = 16 * 1024;

}  // namespace

HttpParser::HttpParser(const HttpLimits& limits)
    : limits_(limits), head_(std::make_unique<HttpHead>()) {}

HttpParser::Outcome HttpParser::consume(std::span<const std::uint8_t> bytes, std::size_t& used) {
  used = 0;
  switch (state_) {
    case State::kHead:
      return take_head(bytes, used);
    case State::kLength:
      return take_body(bytes, used);
    case State::kChunks:
      return take_chunks(bytes, used);
    case State::kRequest:
      return Outcome::kRequest;
    case State::kFault:
      break;
  }
  return Outcome::kFault;
}

HttpParser::Outcome HttpParser::take_head(std::span<const std::uint8_t> bytes, std::size_t& used) {
  while (used < bytes.size()) {
    const char c = static_cast<char>(bytes[used++]);
    const char before = head_bytes_.empty() ? '\0' : head_bytes_.back();
    if ((c == '\n') != (before == '\r')) {
      return fail({400, "bad_line_end", "every line of a request's head ends in CR LF"});
    }
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\r' && c != '\n' && c != '\t') ||
        c == 0x7f) {
      return fail({400, "bad_character", "a request's head has no control characters"});
    }
    if (head_bytes_.size() == limits_.head_bytes_max) {
      const bool in_first_line = head_bytes_.find('\n') == std::string::npos;
      if (in_first_line) return fail({414, "target_too_long", "the request line is too long"});
      return fail({431, "head_too_large", "a request's head is longer than 16 KB"});
    }
    head_bytes_ += c;
    if (c != '\n') continue;
    if (head_bytes_.size() == 2) {
      if (++empty_lines_ > kEmptyLinesMax) {
        return fail({400, "bad_request_line", "there are empty lines before the request"});
      }
      head_bytes_.clear();
    } else if (head_bytes_.ends_with("\r\n\r\n")) {
      const HttpFault fault = read_http_head(head_bytes_, *head_);
      if (fault.status != 0) return fail(fault);
      body_bytes_ = 0;
      if (head_->chunked) {
        state_ = State::kChunks;
        chunks_.begin();
      } else if (head_->content_bytes == 0) {
        return complete();
      } else if (head_->content_bytes > limits_.body_bytes_max) {
        return fail({413, "body_too_large", "the body is longer than 500 KB"});
      } else {
        state_ = State::kLength;
      }
      if (head_->expects_continue && used == bytes.size()) return Outcome::kContinue;
      std::size_t more = 0;
      const auto rest = bytes.subspan(used);
      const Outcome outcome = head_->chunked ? take_chunks(rest, more) : take_body(rest, more);
      used += more;
      return outcome;
    }
  }
  return Outcome::kMore;
}

HttpParser::Outcome HttpParser::take_body(std::span<const std::uint8_t> bytes, std::size_t& used) {
  used = std::min<std::size_t>(bytes.size(), head_->content_bytes - body_bytes_);
  append_body(bytes.first(used));
  return body_bytes_ == head_->content_bytes ? complete() : Outcome::kMore;
}

HttpParser::Outcome HttpParser::take_chunks(std::span<const std::uint8_t> bytes,
                                            std::size_t& used) {
  used = 0;
  for (;;) {
    std::size_t count = 0;
    std::span<const std::uint8_t> data;
    const HttpChunks::Step step = chunks_.next(bytes.subspan(used), count, data);
    used += count;
    switch (step) {
      case HttpChunks::Step::kMore:
        return Outcome::kMore;
      case HttpChunks::Step::kDone:
        return complete();
      case HttpChunks::Step::kBroken:
        return fail({400, "bad_chunk", "the body is not chunked as Transfer-Encoding says"});
      case HttpChunks::Step::kData:
        if (body_bytes_ + data.size() > limits_.body_bytes_max) {
          return fail({413, "body_too_large", "the body is longer than 500 KB"});
        }
        append_body(data);
        break;
    }
  }
}

void HttpParser::append_body(std::span<const std::uint8_t> bytes) {
  const std::size_t needed = body_bytes_ + bytes.size() + kHttpPaddingBytes;
  if (body_.size() < needed) {
    // Not by what was announced: bytes that have not come yet take no memory.
    body_.resize(std::max(needed, body_.size() * 2));
  }
  if (!bytes.empty()) std::memcpy(body_.data() + body_bytes_, bytes.data(), bytes.size());
  body_bytes_ += bytes.size();
}

HttpParser::Outcome HttpParser::complete() {
  append_body({});
  head_->request.body = {body_.data(), body_bytes_};
  head_->request.peer = peer_;
  state_ = State::kRequest;
  return Outcome::kRequest;
}

HttpParser::Outcome HttpParser::fail(const HttpFault& fault) {
  fault_ = fault;
  state_ = State::kFault;
  return Outcome::kFault;
}

void HttpParser::next() {
  state_ = State::kHead;
  head_bytes_.clear();
  empty_lines_ = 0;
  body_bytes_ = 0;
}

void HttpParser::reset() {
  next();
  if (body_.size() > kBodyKeptBytes) std::vector<std::uint8_t>().swap(body_);
}

}  // namespace deja

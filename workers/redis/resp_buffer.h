// Commands in Redis' protocol, put together by hand in one buffer that keeps its memory: what is
// the same in every command is written once as bytes (text_piece) and copied, and nothing is
// formatted twice. One thread; grows, and never shrinks.
//
//   *<arguments>\r\n   then for each:   $<bytes>\r\n<bytes>\r\n
#pragma once

#include <charconv>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace deja {

class RespBuffer {
 public:
  /// Begins a command; exactly `argument_count` texts have to follow.
  void command(std::size_t argument_count) {
    reserve(kHeadBytes);
    head('*', argument_count);
  }
  void text(std::string_view bytes) {
    char* text = text_of(bytes.size());
    if (!bytes.empty()) std::memcpy(text, bytes.data(), bytes.size());
  }
  void number(std::uint64_t number) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    text({digits, static_cast<std::size_t>(end - digits)});
  }
  /// A text of that length whose bytes the caller writes to what is returned, at once.
  [[nodiscard]] char* text_of(std::size_t bytes) {
    reserve(kHeadBytes + bytes + 2);
    head('$', bytes);
    char* text = memory_.get() + size_;
    text[bytes] = '\r';
    text[bytes + 1] = '\n';
    size_ += bytes + 2;
    return text;
  }
  /// Texts that text_piece() made.
  void piece(std::string_view bytes) {
    reserve(bytes.size());
    put(bytes);
  }

  [[nodiscard]] const char* data() const { return memory_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  void clear() { size_ = 0; }

 private:
  static constexpr std::size_t kHeadBytes = 24;

  void reserve(std::size_t more) {
    if (capacity_ - size_ >= more) return;
    const std::size_t larger = (capacity_ + more) * 2;
    std::unique_ptr<char[]> memory(new char[larger]);
    if (size_ != 0) std::memcpy(memory.get(), memory_.get(), size_);
    memory_ = std::move(memory);
    capacity_ = larger;
  }
  void put(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(memory_.get() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  void head(char kind, std::size_t number) {
    char* at = memory_.get() + size_;
    *at++ = kind;  // the caller has reserved: NOLINT(clang-analyzer-core.NullDereference)
    at = std::to_chars(at, at + kHeadBytes - 3, number).ptr;
    *at++ = '\r';
    *at++ = '\n';
    size_ = static_cast<std::size_t>(at - memory_.get());
  }

  std::unique_ptr<char[]> memory_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

/// The bytes of texts that many commands have in common.
template <typename... Texts>
[[nodiscard]] std::string text_piece(const Texts&... texts) {
  RespBuffer buffer;
  (buffer.text(texts), ...);
  return {buffer.data(), buffer.size()};
}

}  // namespace deja

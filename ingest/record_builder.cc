#include "ingest/record_builder.h"

#include <capnp/common.h>

#include <bit>
#include <cstring>

#include "ring/event_record.capnp.h"
#include "shm/base/cache_line.h"
#include "shm/base/check.h"
#include "shm/base/text_words.h"

namespace deja {
namespace {

static_assert(std::endian::native == std::endian::little, "Cap'n Proto's words are little endian");

constexpr std::uint64_t kRootWords = 1;
constexpr std::uint64_t kDataWords = 6;
constexpr std::uint64_t kPointerWords = 2;
constexpr std::uint64_t kKeyPointer = kRootWords + kDataWords;
constexpr std::uint64_t kValuesPointer = kKeyPointer + 1;
constexpr std::uint64_t kFixedWords = kRootWords + kDataWords + kPointerWords;
constexpr std::uint64_t kValueDataWords = 2;
constexpr std::uint64_t kValueWords = kValueDataWords + 1;
static_assert(capnp::_::structSize<schema::EventRecord>().data == kDataWords);
static_assert(capnp::_::structSize<schema::EventRecord>().pointers == kPointerWords);
static_assert(capnp::_::structSize<schema::EventRecord::Value>().data == kValueDataWords);
static_assert(capnp::_::structSize<schema::EventRecord::Value>().pointers == 1);

// Cap'n Proto's encoding, https://capnproto.org/encoding.html: offsets count words from behind the
// pointer.
constexpr std::uint64_t struct_pointer(std::uint64_t offset, std::uint64_t data_words,
                                       std::uint64_t pointer_words) {
  return (offset << 2U) | (data_words << 32U) | (pointer_words << 48U);
}
constexpr std::uint64_t bytes_pointer(std::uint64_t offset, std::uint64_t bytes) {
  return 1U | (offset << 2U) | (std::uint64_t{2} << 32U) | (bytes << 35U);
}
constexpr std::uint64_t structs_pointer(std::uint64_t offset, std::uint64_t words) {
  return 1U | (offset << 2U) | (std::uint64_t{7} << 32U) | (words << 35U);
}

std::uint64_t words_of(std::uint64_t bytes) {
  return (bytes + 7) / 8;
}

// The words of the record by number.
class Words {
 public:
  explicit Words(std::uint8_t* memory) : memory_(memory) {}
  void set(std::uint64_t word, std::uint64_t value) { std::memcpy(memory_ + word * 8, &value, 8); }
  void set(std::uint64_t word, std::int64_t value) { std::memcpy(memory_ + word * 8, &value, 8); }
  void set(std::uint64_t word, double value) { std::memcpy(memory_ + word * 8, &value, 8); }
  // Copies bytes to `word`, zeroes what is left of the last word, and lets `pointer` point to them.
  // Returns the word behind.
  std::uint64_t append(std::uint64_t pointer, std::uint64_t word, const char* bytes,
                       std::uint64_t size) {
    if (size == 0) {
      set(pointer, std::uint64_t{0});
      return word;
    }
    copy_as_words(memory_ + word * 8, bytes, size);
    set(pointer, bytes_pointer(word - pointer - 1, size));
    return word + words_of(size);
  }

 private:
  std::uint8_t* memory_;
};

}  // namespace

RecordSize record_size(const RecordFields& fields, const RecordValues& values) {
  RecordSize size;
  std::uint64_t words = kFixedWords + words_of(fields.key.size);
  for (const CapturedValue& captured : values.captured) {
    if (!values.wants(captured)) continue;
    ++size.value_count;
    if (captured.value.kind == ValueKind::kText) words += words_of(captured.value.text_bytes);
  }
  if (size.value_count != 0) words += 1 + kValueWords * size.value_count;
  size.bytes = words * 8;
  return size;
}

void build_record(const RecordFields& fields, const RecordValues& values, const RecordSize& size,
                  std::uint8_t* into) {
  Words words(into);
  words.set(0, struct_pointer(0, kDataWords, kPointerWords));
  words.set(1, fields.received_us);
  words.set(2, fields.time_us);
  words.set(3, fields.id_low);
  words.set(4, fields.id_high);
  words.set(5, fields.kinds);
  words.set(
      6, fields.shard | (std::uint64_t{static_cast<std::uint8_t>(fields.key.name_space)} << 32U));
  std::uint64_t next = words.append(kKeyPointer, kFixedWords, fields.key.bytes, fields.key.size);
  if (size.value_count == 0) {
    words.set(kValuesPointer, std::uint64_t{0});
    return;
  }
  const std::uint64_t list_words = kValueWords * size.value_count;
  words.set(kValuesPointer, structs_pointer(next - kValuesPointer - 1, list_words));
  words.set(next, struct_pointer(size.value_count, kValueDataWords, 1));
  std::uint64_t element = next + 1;
  next = element + list_words;
  for (const CapturedValue& captured : values.captured) {
    if (!values.wants(captured)) continue;
    const Value& value = captured.value;
    words.set(element, value.number);
    words.set(element + 1, captured.slot | (std::uint64_t{captured.element} << 16U) |
                               (std::uint64_t{static_cast<std::uint8_t>(value.kind)} << 32U));
    const std::uint64_t text_bytes = value.kind == ValueKind::kText ? value.text_bytes : 0;
    next = words.append(element + 2, next, value.text, text_bytes);
    element += kValueWords;
  }
  DCHECK(next * 8 == size.bytes);
}

}  // namespace deja

#include "ingest/inflate.h"

#include <zlib.h>

#include <vector>

#include "shm/base/cache_line.h"
#include "shm/base/check.h"

namespace deja {
namespace {

// inflate() takes about 10 KB for its state and 32 KB for the window (zlib.h, "Memory Footprint").
constexpr std::size_t kArenaBytes = 64 * 1024;
constexpr int kGzipOnly = 16 + MAX_WBITS;

}  // namespace

struct Inflater::State {
  State(std::size_t most, std::size_t padding)
      : arena(kArenaBytes), output(most + 1 + padding), bytes_max(most) {}

  static void* allocate(void* self, unsigned items, unsigned size) {
    State& state = *static_cast<State*>(self);
    const std::size_t bytes = round_up(std::size_t{items} * size, 16);
    if (bytes > state.arena.size() - state.arena_used) return nullptr;
    void* memory = state.arena.data() + state.arena_used;
    state.arena_used += bytes;
    return memory;
  }
  static void release(void*, void*) {}

  std::vector<std::uint8_t> arena;
  std::size_t arena_used = 0;
  std::vector<std::uint8_t> output;
  std::size_t bytes_max;
  z_stream stream{};
};

Inflater::Inflater(std::size_t bytes_max, std::size_t padding_bytes)
    : state_(std::make_unique<State>(bytes_max, padding_bytes)) {
  state_->stream.zalloc = State::allocate;
  state_->stream.zfree = State::release;
  state_->stream.opaque = state_.get();
  CHECK(inflateInit2(&state_->stream, kGzipOnly) == Z_OK);
}

Inflater::~Inflater() {
  inflateEnd(&state_->stream);
}

Inflater::Outcome Inflater::inflate(std::span<const std::uint8_t> compressed,
                                    std::span<const std::uint8_t>& inflated) {
  z_stream& stream = state_->stream;
  stream.next_in = const_cast<Bytef*>(compressed.data());  // zlib's, read only
  stream.avail_in = static_cast<unsigned>(compressed.size());
  stream.next_out = state_->output.data();
  stream.avail_out = static_cast<unsigned>(state_->bytes_max + 1);  // one more, to see too many
  do {
    // The window is taken from the arena at the first need and kept by the resets.
    if (inflateReset(&stream) != Z_OK) return Outcome::kCorrupt;
    const int result = ::inflate(&stream, Z_FINISH);
    if (stream.avail_out == 0) return Outcome::kTooLarge;
    if (result != Z_STREAM_END) return Outcome::kCorrupt;
  } while (stream.avail_in != 0);
  inflated = {state_->output.data(), state_->bytes_max + 1 - stream.avail_out};
  return Outcome::kDone;
}

}  // namespace deja

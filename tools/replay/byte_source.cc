#include "tools/replay/byte_source.h"

#include <fcntl.h>
#include <lzma.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <array>
#include <string_view>
#include <vector>

namespace deja {
namespace {

constexpr std::size_t kPieceBytes = 256 * 1024;

/// The file itself, a piece at a time.
class PlainSource final : public ByteSource {
 public:
  PlainSource(int descriptor, std::string path)
      : descriptor_(descriptor), path_(std::move(path)), piece_(kPieceBytes) {}
  PlainSource(const PlainSource&) = delete;
  PlainSource& operator=(const PlainSource&) = delete;
  ~PlainSource() override { close(descriptor_); }

  Result<std::span<const char>> next() override {
    for (;;) {
      const ssize_t bytes = read(descriptor_, piece_.data(), piece_.size());
      if (bytes >= 0) return std::span<const char>(piece_.data(), static_cast<std::size_t>(bytes));
      if (errno != EINTR) return system_error("read " + path_);
    }
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  int descriptor_;
  std::string path_;
  std::vector<char> piece_;
};

/// What the three libraries have in common: take input, give output, say when a stream is whole.
class Inflater {
 public:
  virtual ~Inflater() = default;
  enum class Outcome { kGoOn, kStreamEnd, kBroken };
  /// Moves `input` forward and fills `output` from its begin; `produced` counts.
  virtual Outcome step(std::span<const char>& input, std::span<char> output,
                       std::size_t& produced) = 0;
};

class GzipInflater final : public Inflater {
 public:
  GzipInflater() { inflateInit2(&stream_, 15 + 16); }
  GzipInflater(const GzipInflater&) = delete;
  GzipInflater& operator=(const GzipInflater&) = delete;
  ~GzipInflater() override { inflateEnd(&stream_); }

  Outcome step(std::span<const char>& input, std::span<char> output,
               std::size_t& produced) override {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream_.avail_in = static_cast<uInt>(input.size());
    stream_.next_out = reinterpret_cast<Bytef*>(output.data());
    stream_.avail_out = static_cast<uInt>(output.size());
    const int code = inflate(&stream_, Z_NO_FLUSH);
    input = input.subspan(input.size() - stream_.avail_in);
    produced = output.size() - stream_.avail_out;
    if (code == Z_STREAM_END) {
      inflateReset(&stream_);  // another member may follow
      return Outcome::kStreamEnd;
    }
    return code == Z_OK || code == Z_BUF_ERROR ? Outcome::kGoOn : Outcome::kBroken;
  }

 private:
  z_stream stream_{};
};

class XzInflater final : public Inflater {
 public:
  XzInflater() { start(); }
  XzInflater(const XzInflater&) = delete;
  XzInflater& operator=(const XzInflater&) = delete;
  ~XzInflater() override { lzma_end(&stream_); }

  Outcome step(std::span<const char>& input, std::span<char> output,
               std::size_t& produced) override {
    if (!ready_) return Outcome::kBroken;
    stream_.next_in = reinterpret_cast<const std::uint8_t*>(input.data());
    stream_.avail_in = input.size();
    stream_.next_out = reinterpret_cast<std::uint8_t*>(output.data());
    stream_.avail_out = output.size();
    const lzma_ret code = lzma_code(&stream_, LZMA_RUN);
    input = input.subspan(input.size() - stream_.avail_in);
    produced = output.size() - stream_.avail_out;
    if (code == LZMA_STREAM_END) {
      start();
      return Outcome::kStreamEnd;
    }
    return code == LZMA_OK || code == LZMA_BUF_ERROR ? Outcome::kGoOn : Outcome::kBroken;
  }

 private:
  void start() {
    constexpr std::uint64_t kMemoryBytesMax = 256ULL * 1024 * 1024;
    ready_ = lzma_stream_decoder(&stream_, kMemoryBytesMax, 0) == LZMA_OK;
  }
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool ready_ = false;
};

class ZstdInflater final : public Inflater {
 public:
  ZstdInflater() : stream_(ZSTD_createDStream()) {}
  ZstdInflater(const ZstdInflater&) = delete;
  ZstdInflater& operator=(const ZstdInflater&) = delete;
  ~ZstdInflater() override { ZSTD_freeDStream(stream_); }

  Outcome step(std::span<const char>& input, std::span<char> output,
               std::size_t& produced) override {
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    ZSTD_outBuffer out{output.data(), output.size(), 0};
    const std::size_t code = ZSTD_decompressStream(stream_, &out, &in);
    input = input.subspan(in.pos);
    produced = out.pos;
    if (ZSTD_isError(code) != 0) return Outcome::kBroken;
    return code == 0 ? Outcome::kStreamEnd : Outcome::kGoOn;
  }

 private:
  ZSTD_DStream* stream_;
};

class InflatingSource final : public ByteSource {
 public:
  InflatingSource(std::unique_ptr<PlainSource> from, std::unique_ptr<Inflater> inflater)
      : from_(std::move(from)), inflater_(std::move(inflater)), piece_(kPieceBytes) {}

  Result<std::span<const char>> next() override {
    for (;;) {
      if (input_.empty() && !output_was_full_) {
        auto piece = from_->next();
        if (!piece.ok()) return piece;
        input_ = piece.value();
        if (input_.empty()) {
          if (whole_) return std::span<const char>{};
          return Error{from_->path() + " ends in the middle of its compressed data", 0,
                       "Fetch the file again."};
        }
      }
      std::size_t produced = 0;
      const Inflater::Outcome outcome = inflater_->step(input_, piece_, produced);
      if (outcome == Inflater::Outcome::kBroken) {
        return Error{from_->path() + " is not what its extension says, or damaged", 0,
                     "Rename it to what it is, or fetch it again."};
      }
      whole_ = outcome == Inflater::Outcome::kStreamEnd;
      output_was_full_ = produced == piece_.size() && !whole_;
      if (produced > 0) return std::span<const char>(piece_.data(), produced);
    }
  }

 private:
  std::unique_ptr<PlainSource> from_;
  std::unique_ptr<Inflater> inflater_;
  std::vector<char> piece_;
  std::span<const char> input_;
  bool whole_ = false;            // between two streams: the file may end here
  bool output_was_full_ = false;  // the library may hold more than it could give
};

std::unique_ptr<Inflater> inflater_for(std::string_view path) {
  if (path.ends_with(".gz")) return std::make_unique<GzipInflater>();
  if (path.ends_with(".xz")) return std::make_unique<XzInflater>();
  if (path.ends_with(".zst")) return std::make_unique<ZstdInflater>();
  return nullptr;
}

}  // namespace

Result<std::unique_ptr<ByteSource>> ByteSource::open(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return system_error("open " + path, "Check the path of the file to replay.");
  auto plain = std::make_unique<PlainSource>(descriptor, path);
  std::unique_ptr<Inflater> inflater = inflater_for(path);
  if (inflater == nullptr) return std::unique_ptr<ByteSource>(std::move(plain));
  return std::unique_ptr<ByteSource>(
      std::make_unique<InflatingSource>(std::move(plain), std::move(inflater)));
}

std::string without_compression(const std::string& path) {
  for (const std::string_view extension : {".gz", ".xz", ".zst"}) {
    if (std::string_view(path).ends_with(extension)) {
      return path.substr(0, path.size() - extension.size());
    }
  }
  return path;
}

}  // namespace deja

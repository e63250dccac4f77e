#include "ingest/loop_backend.h"

#include "ingest/loop_epoll.h"
#include "ingest/loop_uring.h"

namespace deja {
namespace {

template <typename Ring>
Result<std::unique_ptr<LoopRing>> create_as(const LoopRing::Options& options) {
  auto ring = Ring::create(options);
  if (!ring) return ring.error();
  return std::unique_ptr<LoopRing>(std::move(*ring));
}

Status make_rings(LoopRings& into, std::uint32_t count, const LoopRing::Options& options) {
  into.rings.clear();
  for (std::uint32_t number = 0; number < count; ++number) {
    auto ring = LoopRing::create(into.backend, options);
    if (!ring) return ring.error();
    into.rings.push_back(std::move(*ring));
  }
  return Done{};
}

}  // namespace

Result<std::unique_ptr<LoopRing>> LoopRing::create(IoBackend backend, const Options& options) {
  return backend == IoBackend::kUring ? create_as<UringRing>(options)
                                      : create_as<EpollRing>(options);
}

Result<LoopRings> LoopRings::make(std::uint32_t count, const LoopRing::Options& options) {
  LoopRings made;
  made.backend = choose_io_backend(made.why);
  Status done = make_rings(made, count, options);
  if (!done.ok() && made.backend == IoBackend::kUring && !io_backend_is_forced()) {
    made.why = io_refusal(done.error().error_number);
    made.backend = IoBackend::kEpoll;
    done = make_rings(made, count, options);
  }
  if (!done.ok()) return done.error();
  return made;
}

std::string LoopRings::line() const {
  const std::string used = backend == IoBackend::kUring ? "using io_uring" : "using epoll";
  return why.empty() ? used : why + ": " + used;
}

void LoopRings::show(ProcessFile& process) const {
  for (const IoBackend kind : {IoBackend::kUring, IoBackend::kEpoll}) {
    process.gauge(std::string("deja_io_backend{kind=\"") + io_backend_name(kind) + "\"}")
        .set(kind == backend ? 1 : 0);
  }
}

}  // namespace deja

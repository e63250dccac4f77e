#include "workers/segment_files.h"

#include "ring/bell.h"
#include "ring/positions.h"
#include "ring/spsc_ring.h"
#include "ring/trace_layout.h"
#include "shm/consumed_layout.h"
#include "shm/process_file.h"
#include "workers/id_set.h"

namespace deja {
namespace {

SegmentFile ring_file(std::string name, std::uint64_t capacity_bytes) {
  return {std::move(name), ring_file_bytes(capacity_bytes), Audience::kService,
          [capacity_bytes](std::uint8_t* memory) { format_ring(memory, capacity_bytes); }};
}

SegmentFile zero_file(std::string name, std::uint64_t bytes) {
  return {std::move(name), bytes, Audience::kService, {}};
}

void add_bell(SegmentPlan& plan, const std::string& name) {
  plan.files.push_back(zero_file("bell-" + name, sizeof(BellLayout)));
  plan.fifos.push_back("bell-" + name + ".fifo");
}

void add_process(SegmentPlan& plan, const std::string& name) {
  plan.files.push_back(zero_file("process-" + name, ProcessFile::file_bytes()));
}

void add_worker(SegmentPlan& plan, const TableGeometry& geometry, std::uint32_t worker) {
  const std::string number = std::to_string(worker);
  const std::uint32_t rings = plan.ingest_count;
  SegmentFile consumed{"consumed-" + number, consumed_file_bytes(rings), Audience::kReaders,
                       [rings](std::uint8_t* memory) {
                         auto* file = reinterpret_cast<ConsumedLayout*>(memory);
                         file->ring_count = rings;
                         file->magic.store(kConsumedMagic, std::memory_order_release);
                       }};
  plan.files.push_back(std::move(consumed));
  plan.files.push_back(zero_file("worker-" + number, worker_file_bytes(rings)));
  plan.files.push_back(zero_file(
      "ids-" + number,
      id_set_bytes(static_cast<std::uint32_t>(plan.dedup_window)) * geometry.shards_of(worker)));
  plan.files.push_back(ring_file("log-" + number, plan.log_bytes));
  plan.files.push_back(ring_file("return-" + number, plan.return_bytes));
  for (std::uint32_t thread = 0; thread < rings; ++thread) {
    const std::string other = std::to_string(thread);
    plan.files.push_back(ring_file("ring-" + other + "-" + number, plan.ring_bytes));
    plan.files.push_back(ring_file("verdict-" + number + "-" + other, plan.verdict_bytes));
  }
  plan.files.push_back(zero_file("trace-worker-" + number, trace_worker_bytes(rings)));
  add_process(plan, "worker-" + number);
  add_bell(plan, worker_bell(worker));
}

}  // namespace

std::string ingest_bell(std::uint32_t thread) {
  return "ingest-" + std::to_string(thread);
}
std::string worker_bell(std::uint32_t worker) {
  return "worker-" + std::to_string(worker);
}

void add_service_files(SegmentPlan& plan) {
  const TableGeometry geometry = plan.geometry();
  for (std::uint32_t worker = 0; worker < plan.worker_count; ++worker) {
    add_worker(plan, geometry, worker);
  }
  for (std::uint32_t thread = 0; thread < plan.ingest_count; ++thread) {
    plan.files.push_back(
        zero_file("ingest-" + std::to_string(thread), ingest_file_bytes(plan.worker_count)));
    plan.files.push_back(
        zero_file("trace-ingest-" + std::to_string(thread), trace_ingest_bytes(plan.worker_count)));
    add_bell(plan, ingest_bell(thread));
  }
  plan.files.push_back(zero_file("keeper", keeper_file_bytes(plan.worker_count, plan.shard_count)));
  plan.files.push_back(
      zero_file("durable", durable_file_bytes(plan.worker_count, plan.ingest_count)));
  plan.files.push_back(
      zero_file(kTraceControlFile, trace_control_bytes(plan.worker_count, plan.ingest_count)));
  plan.files.push_back(
      zero_file(kTraceKeeperFile, trace_keeper_bytes(plan.worker_count, plan.ingest_count)));
  add_bell(plan, kKeeperBell);
  for (const char* name : {"supervisor", "ingest", "keeper", "console"}) add_process(plan, name);
}

}  // namespace deja

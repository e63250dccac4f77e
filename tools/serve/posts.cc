#include "tools/serve/posts.h"

#include <utility>

#include "shm/place_lock.h"

namespace deja {
namespace {

// A loop of ours passes every 10 ms. The keeper waits for disks and for Redis in between.
constexpr PulseBounds kLoopBounds{5'000'000'000};
constexpr PulseBounds kKeeperBounds{30'000'000'000};

std::string directory_of(const Segment& segment) {
  const std::string path = segment.stable_path("x");
  return path.substr(0, path.size() - 2);
}

Post post_of(const Segment& segment, const std::string& process, PulseBounds bounds) {
  Post post;
  post.name = process;
  post.process_file = segment.path("process-" + process);
  post.bounds = bounds;
  post.holder = [directory = directory_of(segment), process] {
    return place_holder(directory, process);
  };
  return post;
}

ChildCommand command_of(const std::string& program, const std::string& directory) {
  ChildCommand command;
  command.program = program_folder() + "/" + program;
  command.arguments = {"--segment", directory};
  return command;
}

Post listening_post(const Segment& segment, const std::string& process, HandSockets hand_sockets) {
  Post post = post_of(segment, process, kLoopBounds);
  post.command = [directory = directory_of(segment), process,
                  hand = std::move(hand_sockets)](bool) -> Result<ChildCommand> {
    ChildCommand command = command_of("deja-" + process, directory);
    if (Status handed = hand(command); !handed.ok()) return handed.error();
    return command;
  };
  return post;
}

}  // namespace

pid_t place_holder(const std::string& segment_directory, const std::string& process) {
  return PlaceLock::holder(segment_directory + "/" + place_file(process));
}

Post worker_post(const Segment& segment, std::uint32_t worker) {
  const std::string number = std::to_string(worker);
  Post post = post_of(segment, kWorkerPrefix + number, kLoopBounds);
  post.command = [directory = directory_of(segment),
                  number](bool predecessor_hung) -> Result<ChildCommand> {
    ChildCommand command = command_of("deja-worker", directory);
    command.arguments.insert(command.arguments.end(), {"--index", number});
    if (predecessor_hung) {
      command.arguments.insert(command.arguments.end(), {"--predecessor", "hung"});
    }
    return command;
  };
  return post;
}

Post keeper_post(const Segment& segment) {
  Post post = post_of(segment, kKeeperName, kKeeperBounds);
  post.command = [directory = directory_of(segment)](bool) -> Result<ChildCommand> {
    return command_of("deja-keeper", directory);
  };
  return post;
}

Post ingest_post(const Segment& segment, const std::string& user, HandSockets hand_sockets) {
  return listening_post(segment, kIngestName,
                        [user, hand = std::move(hand_sockets)](ChildCommand& command) -> Status {
                          if (!user.empty()) {
                            command.arguments.insert(command.arguments.end(), {"--user", user});
                          }
                          return hand(command);
                        });
}

Post console_post(const Segment& segment, HandSockets hand_sockets) {
  return listening_post(segment, kConsoleName, std::move(hand_sockets));
}

Post redis_post(PrivateRedis& redis, const std::string& name) {
  Post post;
  post.name = name;
  post.command = [&redis](bool) { return redis.command(); };
  post.holder = [&redis] { return redis.serving_pid(); };
  return post;
}

}  // namespace deja

@0xf47b0c53fa4793cd;
# What the supervisor tells its children beyond the catalog. One file, readable by the service alone
# (it holds keys): the same form as the catalog. Children never read the config.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("deja::schema");

enum Wait { adaptive @0; spin @1; sleep @2; }
enum AckLevel { applied @0; durable @1; }
enum HugePages { try @0; require @1; off @2; }

struct Settings {
  appliance @0 :Text;
  ingestCpus @1 :List(Int32);       # one ingest thread each; -1: not pinned
  workerCpus @2 :List(Int32);       # one worker process each; -1: not pinned
  wait @3 :Wait;
  http @4 :Text;                    # the addresses listened on, for messages only: the sockets
  streams @5 :List(Text);           # themselves are inherited
  console @6 :Text;
  writeKeys @7 :List(Text);         # resolved ("env:" looked up); none: open
  readKeys @8 :List(Text);
  ack @9 :AckLevel;
  dedupWindow @10 :UInt32;          # ids per shard
  maxFutureUs @11 :Int64;
  redisUrl @12 :Text;               # resolved: "redis://…" or "unix://…", never "local"
  flushEveryUs @13 :Int64;
  lossWindowUs @14 :Int64;
  durabilityDirectory @15 :Text;
  hugePages @16 :HugePages;
  ringBytes @17 :UInt64;            # each ring, log, return and verdict ring: powers of two
  logBytes @18 :UInt64;
  returnBytes @19 :UInt64;
  verdictBytes @20 :UInt64;
  fullRingWaitUs @21 :Int64;        # how long a connection waits at a full ring before its 503
  groupCommitUs @22 :Int64;
  addressEventsPerS @23 :UInt64;    # what one address, and one write key, may send; 0: no limit
  keyEventsPerS @24 :UInt64;
  addressConnections @25 :UInt32;   # at once; 0: half of all
  trustedProxies @26 :List(Text);   # "10.0.0.0/8": whose X-Forwarded-For counts
}

// One collective as it runs on one rank: phases of exchanges with peers, with arithmetic between
// them.
#ifndef FLAME_COMM_COLLECTIVE_H_
#define FLAME_COMM_COLLECTIVE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/engine.h"
#include "comm/transport.h"

namespace flame {

enum class CollectiveKind : uint8_t {
  kAllReduce,
  kBroadcast,
  kAllGather,
  kReduceScatter,
  kBarrier,
  kSplit,
};

// The header before the data of every exchange; equal on all ranks of one collective. Ranks that
// run different collectives are thereby found and named, instead of hanging or mixing up bytes.
struct FrameHeader {
  uint64_t sequence = 0;
  CollectiveKind kind = CollectiveKind::kBarrier;
  uint8_t op = 0;  // ReduceOp
  int8_t dtype = static_cast<int8_t>(at::kByte);
  uint8_t padding = 0;
  int32_t root = 0;
  uint64_t num_bytes = 0;  // bytes of the tensor; of the smaller one if input and output differ
};

// Returns text such as "all-reduce #57 (sum of float32, 4096 bytes)".
std::string Describe(const FrameHeader& header);
std::string KindName(CollectiveKind kind);

// The exchange of one phase with one peer. An empty exchange still carries a header.
struct Lane {
  int peer = -1;
  bool sends = true;
  const void* send = nullptr;
  size_t send_bytes = 0;
  bool receives = true;
  void* receive = nullptr;
  size_t receive_bytes = 0;
};

struct Phase {
  std::vector<Lane> lanes;
  std::function<void()> then;  // runs once all lanes are done; may be empty
};

class Collective : public Operation {
 public:
  // `keep` holds the tensors whose memory the lanes use.
  Collective(std::shared_ptr<Transport> transport, const FrameHeader& header,
             std::vector<Phase> phases, std::vector<at::Tensor> keep);
  // Leaks the buffers of transfers under way, because the backend may still write to them.
  ~Collective() override;

  bool Advance() override;
  bool Moving() const override;

  // The calls below need the engine's lock.
  bool finished() const { return finished_; }
  // Sets the id that is passed to TraceEnd when the collective is finished.
  void set_trace(int64_t trace) { trace_ = trace; }
  const std::string& error() const { return error_; }  // empty: none
  std::vector<int> Missing() const;  // ranks of the job that have not answered yet
  const FrameHeader& header() const { return header_; }

 private:
  struct ActiveLane;
  void StartPhase();
  bool AdvanceLane(ActiveLane* lane);
  void StartPayload(ActiveLane* lane);
  int Tag(bool payload) const;

  std::shared_ptr<Transport> transport_;
  const FrameHeader header_;
  std::vector<Phase> phases_;
  std::vector<at::Tensor> keep_;
  std::vector<std::unique_ptr<ActiveLane>> active_;
  size_t phase_ = 0;
  bool phase_started_ = false, finished_ = false;
  int64_t trace_ = -1;
  std::string error_;
};

}  // namespace flame

#endif  // FLAME_COMM_COLLECTIVE_H_

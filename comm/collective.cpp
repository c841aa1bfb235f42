#include "comm/collective.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"
#include "base/trace.h"
#include "comm/watchdog.h"

namespace flame {
namespace {

// Data up to this size travels with its header. It is below the eager limit of Open MPI's
// transports.
constexpr size_t kInlineBytes = 2048;
constexpr int kSequenceTags = 1 << 19;  // tags repeat after this many collectives

static_assert(sizeof(FrameHeader) == 24);

bool SameCollective(const FrameHeader& a, const FrameHeader& b) {
  return a.sequence == b.sequence && a.kind == b.kind && a.op == b.op && a.dtype == b.dtype &&
         a.root == b.root && a.num_bytes == b.num_bytes;
}

std::string OpName(uint8_t op) {
  switch (static_cast<ReduceOp>(op)) {
    case ReduceOp::kSum:
      return "sum";
    case ReduceOp::kMax:
      return "maximum";
    case ReduceOp::kMin:
      return "minimum";
  }
  return "unknown reduction";
}

}  // namespace

struct Collective::ActiveLane {
  Lane lane;
  std::array<char, sizeof(FrameHeader) + kInlineBytes> frame_in;
  std::vector<char> frame_out;
  // A null transfer is not started, or done.
  std::unique_ptr<Transfer> sent_frame, sent_payload, received_frame, received_payload;
};

std::string KindName(CollectiveKind kind) {
  switch (kind) {
    case CollectiveKind::kAllReduce:
      return "all-reduce";
    case CollectiveKind::kBroadcast:
      return "broadcast";
    case CollectiveKind::kAllGather:
      return "all-gather";
    case CollectiveKind::kReduceScatter:
      return "reduce-scatter";
    case CollectiveKind::kBarrier:
      return "barrier";
    case CollectiveKind::kSplit:
      return "split";
  }
  return "unknown operation";
}

std::string Describe(const FrameHeader& header) {
  std::string name = StrCat(KindName(header.kind), " #", header.sequence);
  const char* dtype = at::toString(static_cast<at::ScalarType>(header.dtype));
  switch (header.kind) {
    case CollectiveKind::kAllReduce:
    case CollectiveKind::kReduceScatter:
      return StrCat(name, " (", OpName(header.op), " of ", dtype, ", ", header.num_bytes,
                    " bytes)");
    case CollectiveKind::kBroadcast:
      return StrCat(name, " (", dtype, ", ", header.num_bytes, " bytes, root ", header.root, ")");
    case CollectiveKind::kAllGather:
      return StrCat(name, " (", dtype, ", ", header.num_bytes, " bytes each)");
    default:
      return name;
  }
}

Collective::Collective(std::shared_ptr<Transport> transport, const FrameHeader& header,
                       std::vector<Phase> phases, std::vector<at::Tensor> keep)
    : transport_(std::move(transport)),
      header_(header),
      phases_(std::move(phases)),
      keep_(std::move(keep)) {}

Collective::~Collective() {
  if (active_.empty()) return;
  new std::vector<std::unique_ptr<ActiveLane>>(std::move(active_));
  new std::vector<Phase>(std::move(phases_));
  new std::vector<at::Tensor>(std::move(keep_));
}

bool Collective::Advance() {
  if (finished_) return true;
  try {
    for (; phase_ < phases_.size(); ++phase_) {
      if (!phase_started_) StartPhase();
      bool all_done = true;
      for (auto& lane : active_) all_done = AdvanceLane(lane.get()) && all_done;
      if (!all_done) return false;
      active_.clear();
      if (phases_[phase_].then) phases_[phase_].then();
      phase_started_ = false;
    }
  } catch (const std::exception& error) {
    error_ = error.what();
  }
  finished_ = true;
  TraceEnd(trace_);
  return true;
}

bool Collective::Moving() const {
  return std::any_of(active_.begin(), active_.end(), [](const auto& lane) {
    return !lane->received_frame && (lane->received_payload || lane->sent_payload);
  });
}

std::vector<int> Collective::Missing() const {
  std::vector<int> ranks;
  for (const auto& lane : active_) {
    if (lane->received_frame || lane->received_payload || lane->sent_frame || lane->sent_payload) {
      ranks.push_back(transport_->WorldRank(lane->lane.peer));
    }
  }
  return ranks;
}

void Collective::StartPhase() {
  phase_started_ = true;
  for (const Lane& lane : phases_[phase_].lanes) {
    active_.push_back(std::make_unique<ActiveLane>());
    ActiveLane& active = *active_.back();
    active.lane = lane;
    if (lane.receives) {
      active.received_frame = transport_->Receive(Transport::kCollectives, lane.peer, Tag(false),
                                                  active.frame_in.data(), active.frame_in.size());
    }
  }
  for (auto& active : active_) {
    const Lane& lane = active->lane;
    if (!lane.sends) continue;
    const bool inlined = lane.send_bytes <= kInlineBytes;
    active->frame_out.resize(sizeof header_ + (inlined ? lane.send_bytes : 0));
    std::memcpy(active->frame_out.data(), &header_, sizeof header_);
    if (inlined && lane.send_bytes > 0) {
      std::memcpy(active->frame_out.data() + sizeof header_, lane.send, lane.send_bytes);
    }
    active->sent_frame = transport_->Send(Transport::kCollectives, lane.peer, Tag(false),
                                          active->frame_out.data(), active->frame_out.size());
    if (inlined) continue;
    active->sent_payload =
        transport_->Send(Transport::kCollectives, lane.peer, Tag(true), lane.send, lane.send_bytes);
  }
}

bool Collective::AdvanceLane(ActiveLane* lane) {
  if (lane->received_frame && lane->received_frame->Done()) {
    lane->received_frame.reset();
    StartPayload(lane);
  }
  for (auto* transfer : {&lane->received_payload, &lane->sent_payload, &lane->sent_frame}) {
    if (*transfer && (*transfer)->Done()) transfer->reset();
  }
  return !lane->received_frame && !lane->received_payload && !lane->sent_frame &&
         !lane->sent_payload;
}

void Collective::StartPayload(ActiveLane* lane) {
  FrameHeader theirs;
  std::memcpy(&theirs, lane->frame_in.data(), sizeof theirs);
  if (!SameCollective(header_, theirs)) {
    throw MachineError(
        "all ranks must call the same collectives in the same order on '", transport_->name(),
        "': ", RankName(transport_->WorldRank(transport_->rank())), " runs ", Describe(header_),
        ", ", RankName(transport_->WorldRank(lane->lane.peer)), " runs ", Describe(theirs));
  }
  const size_t num_bytes = lane->lane.receive_bytes;
  if (num_bytes > kInlineBytes) {
    lane->received_payload = transport_->Receive(Transport::kCollectives, lane->lane.peer,
                                                 Tag(true), lane->lane.receive, num_bytes);
  } else if (num_bytes > 0) {
    std::memcpy(lane->lane.receive, lane->frame_in.data() + sizeof theirs, num_bytes);
  }
}

int Collective::Tag(bool payload) const {
  const int sequence = static_cast<int>(header_.sequence % kSequenceTags);
  const int tag = (sequence * 4 + static_cast<int>(phase_)) * 2 + (payload ? 1 : 0);
  static_assert(kSequenceTags * 8 <= Transport::kTags);
  return tag;
}

}  // namespace flame

// Messages between the coordinator and rollout ranks.
#ifndef FLAME_ROLLOUT_PROTOCOL_H_
#define FLAME_ROLLOUT_PROTOCOL_H_

#include "comm/tags.h"
#include "comm/wire.h"
#include "rollout/client.h"

namespace flame {

// The first field of every message. A reply repeats its request's kind and then has the error, ""
// if none. kTaking comes before the reply to kSync (adapter_transfer.h).
enum class RolloutMessage : int8_t { kStop = 0, kRun = 1, kSync = 2, kTaking = 3 };

void Write(const RolloutRequest& request, WireWriter* out);
RolloutRequest ReadRolloutRequest(WireReader* in);
void Write(const RolloutReply& reply, WireWriter* out);
RolloutReply ReadRolloutReply(WireReader* in);

}  // namespace flame

#endif  // FLAME_ROLLOUT_PROTOCOL_H_

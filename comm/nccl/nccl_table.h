// The NCCL calls that this program makes, behind pointers so that a test can put faults in them.
#ifndef FLAME_COMM_NCCL_NCCL_TABLE_H_
#define FLAME_COMM_NCCL_NCCL_TABLE_H_

#include <nccl.h>

namespace flame {

// Members are named as in nccl.h without the prefix. They have no defaults: a caller fills every
// one.
struct NcclTable {
  decltype(&ncclGetUniqueId) GetUniqueId;
  decltype(&ncclCommInitRankConfig) CommInitRankConfig;
  decltype(&ncclCommGetAsyncError) CommGetAsyncError;
  decltype(&ncclCommFinalize) CommFinalize;
  decltype(&ncclCommDestroy) CommDestroy;
  decltype(&ncclCommAbort) CommAbort;
  decltype(&ncclGetErrorString) GetErrorString;
  decltype(&ncclGetLastError) GetLastError;
  decltype(&ncclAllReduce) AllReduce;
  decltype(&ncclBroadcast) Broadcast;
  decltype(&ncclAllGather) AllGather;
  decltype(&ncclReduceScatter) ReduceScatter;
  decltype(&ncclGroupStart) GroupStart;
  decltype(&ncclGroupEnd) GroupEnd;
};

// Returns the calls of the linked library.
const NcclTable& LinkedNccl();

}  // namespace flame

#endif  // FLAME_COMM_NCCL_NCCL_TABLE_H_

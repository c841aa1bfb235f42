#include "comm/nccl/nccl_table.h"

namespace flame {

const NcclTable& LinkedNccl() {
  static const NcclTable table = {
      .GetUniqueId = ncclGetUniqueId,
      .CommInitRankConfig = ncclCommInitRankConfig,
      .CommGetAsyncError = ncclCommGetAsyncError,
      .CommFinalize = ncclCommFinalize,
      .CommDestroy = ncclCommDestroy,
      .CommAbort = ncclCommAbort,
      .GetErrorString = ncclGetErrorString,
      .GetLastError = ncclGetLastError,
      .AllReduce = ncclAllReduce,
      .Broadcast = ncclBroadcast,
      .AllGather = ncclAllGather,
      .ReduceScatter = ncclReduceScatter,
      .GroupStart = ncclGroupStart,
      .GroupEnd = ncclGroupEnd,
  };
  return table;
}

}  // namespace flame

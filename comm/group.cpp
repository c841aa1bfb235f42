#include "comm/group.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>

namespace flame {
namespace {

std::vector<double> Reduce(Communicator* group, const std::vector<double>& values, ReduceOp op) {
  if (group == nullptr) return values;
  at::Tensor buffer = at::empty({static_cast<int64_t>(values.size())}, at::kDouble);
  std::copy(values.begin(), values.end(), buffer.mutable_data_ptr<double>());
  group->AllReduce(buffer, op)->Wait();
  const double* reduced = buffer.const_data_ptr<double>();
  return {reduced, reduced + values.size()};
}

}  // namespace

std::vector<double> SumOverRanks(Communicator* group, const std::vector<double>& values) {
  return Reduce(group, values, ReduceOp::kSum);
}

std::vector<double> MaxOverRanks(Communicator* group, const std::vector<double>& values) {
  return Reduce(group, values, ReduceOp::kMax);
}

std::vector<std::string> GatherTexts(Communicator* group, const std::string& text) {
  if (group == nullptr) return {text};
  const auto own_size = static_cast<double>(text.size());
  const auto room = static_cast<int64_t>(MaxOverRanks(group, {own_size})[0]);
  // Each rank's row holds the length of its text, then the text.
  const int64_t stride = room + static_cast<int64_t>(sizeof(int64_t));
  at::Tensor own = at::zeros({stride}, at::kByte);
  at::Tensor all = at::empty({group->size() * stride}, at::kByte);
  auto* bytes = static_cast<char*>(own.mutable_data_ptr());
  const auto size = static_cast<int64_t>(text.size());
  std::memcpy(bytes, &size, sizeof(size));
  std::memcpy(bytes + sizeof(size), text.data(), text.size());
  group->AllGather(all, own)->Wait();
  std::vector<std::string> texts;
  const auto* from = static_cast<const char*>(all.const_data_ptr());
  for (int rank = 0; rank < group->size(); ++rank, from += stride) {
    int64_t length = 0;
    std::memcpy(&length, from, sizeof(length));
    texts.emplace_back(from + sizeof(length), length);
  }
  return texts;
}

std::string BroadcastText(Communicator* group, const std::string& text) {
  if (group == nullptr) return text;
  const bool own = group->rank() == 0;
  const double size = MaxOverRanks(group, {own ? static_cast<double>(text.size()) : 0})[0];
  std::string all = own ? text : std::string(static_cast<size_t>(size), '\0');
  const at::Tensor bytes = at::from_blob(all.data(), {static_cast<int64_t>(size)}, at::kByte);
  if (!all.empty()) group->Broadcast(bytes, 0)->Wait();
  return all;
}

}  // namespace flame

#include "rollout/weight_sync.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/checksum.h"
#include "base/error.h"
#include "base/random.h"
#include "comm/wire.h"

namespace flame {
namespace {

std::vector<char> BytesOf(const at::Tensor& tensor) {
  const at::Tensor dense = tensor.detach().cpu().contiguous();
  const char* data = static_cast<const char*>(dense.const_data_ptr());
  return {data, data + dense.nbytes()};
}

at::Tensor ReadTensor(WireReader* in) {
  const auto dtype = in->Pod<at::ScalarType>();
  const auto shape = in->Vector<int64_t>();
  const auto bytes = in->Vector<char>();
  const at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(dtype));
  if (tensor.nbytes() != bytes.size()) {
    throw MachineError("an adapter of ", tensor.nbytes(), " bytes came with ", bytes.size());
  }
  if (!bytes.empty()) std::memcpy(tensor.mutable_data_ptr(), bytes.data(), bytes.size());
  return tensor;
}

// `size` tokens: drawn from the vocabulary, then the first and the last slot of each entity kind.
std::vector<int32_t> CanaryTokens(const Policy& policy, RandomStream* random, int64_t size) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < size; ++i) {
    tokens.push_back(static_cast<int32_t>(random->Below(policy.config().vocab_size)));
  }
  for (const EntitySlots& slots : policy.entities()) {
    tokens.push_back(static_cast<int32_t>(slots.first_token));
    tokens.push_back(static_cast<int32_t>(slots.first_token + slots.collab.size(0) - 1));
  }
  return tokens;
}

Family CanaryFamily(const Policy& policy) {
  RandomStream random(/*seed=*/0, kSampling);
  Family family;
  family.trunk = CanaryTokens(policy, &random, 24);
  for (int branch = 0; branch < 2; ++branch) {
    std::vector<int32_t> tokens;
    for (int i = 0; i < 8; ++i) {
      tokens.push_back(static_cast<int32_t>(random.Below(policy.config().vocab_size)));
    }
    family.branches.push_back({tokens, /*loss_from=*/0});
  }
  return family;
}

}  // namespace

NamedTensors AdaptersOf(const Policy& policy) {
  NamedTensors adapters;
  for (const auto& [name, tensor] : policy.parameters()) {
    if (name.find("lora_") != std::string::npos) adapters.emplace(name, tensor);
  }
  return adapters;
}

std::string PackAdapters(int64_t version, const NamedTensors& adapters) {
  WireWriter body;
  body.Pod(version);
  body.Pod<uint64_t>(adapters.size());
  for (const auto& [name, tensor] : adapters) {
    body.Text(name);
    body.Pod(tensor.scalar_type());
    body.Vector(tensor.sizes().vec());
    body.Vector(BytesOf(tensor));
  }
  const std::string contents = body.Take();
  WireWriter out;
  out.Pod(version);
  out.Text(Sha256(contents));
  out.Text(contents);
  return out.Take();
}

SyncedAdapters UnpackAdapters(const std::string& buffer, int rank) {
  WireReader in(buffer);
  SyncedAdapters synced;
  synced.version = in.Pod<int64_t>();
  const std::string expected = in.Text();
  const std::string contents = in.Text();
  const std::string found = Sha256(contents);
  if (found != expected) {
    throw MachineError("rank ", rank, " received adapters of version ", synced.version,
                       " with SHA-256 ", found, "; the sender's is ", expected);
  }
  WireReader body(contents);
  synced.version = body.Pod<int64_t>();
  const auto count = body.Pod<uint64_t>();
  for (uint64_t i = 0; i < count; ++i) {
    const std::string name = body.Text();
    synced.tensors.emplace(name, ReadTensor(&body));
  }
  return synced;
}

void LoadAdapters(const NamedTensors& adapters, int rank, int64_t version, Policy* policy) {
  const auto fail = [&](const std::string& what) {
    throw MachineError("rank ", rank, " refuses the adapters of version ", version, ": ", what);
  };
  const NamedTensors own = AdaptersOf(*policy);
  if (adapters.size() != own.size()) {
    fail(StrCat("expected ", own.size(), " tensors, found ", adapters.size()));
  }
  for (const auto& [name, tensor] : adapters) {
    const auto place = own.find(name);
    if (place == own.end()) fail(StrCat("'", name, "' is unknown"));
    if (tensor.sizes() != place->second.sizes() ||
        tensor.scalar_type() != place->second.scalar_type()) {
      fail(StrCat("'", name, "' is ", tensor.scalar_type(), " ", tensor.sizes(), "; expected ",
                  place->second.scalar_type(), " ", place->second.sizes()));
    }
  }
  c10::NoGradGuard no_grad;
  for (const auto& [name, tensor] : adapters) {
    const at::Tensor& place = own.at(name);
    if (place.const_data_ptr() != tensor.const_data_ptr()) place.copy_(tensor);
  }
}

std::vector<double> CanaryLogProbs(const Policy& policy) {
  c10::NoGradGuard no_grad;
  const FamilyBatch batch = PackFamilies({CanaryFamily(policy)});
  const at::Tensor hidden = policy.Hidden(batch, ForwardOptions{});
  const at::Tensor logprobs =
      policy.LogProbs(hidden, batch.sources, batch.targets).cpu().to(at::kDouble).contiguous();
  const double* data = logprobs.const_data_ptr<double>();
  return {data, data + logprobs.numel()};
}

PolicyVersion PolicyVersionOf(int64_t version, const Policy& policy) {
  return {version, AdaptersOf(policy), CanaryLogProbs(policy), policy.dtype()};
}

void CheckCanary(const std::vector<double>& here, const std::vector<double>& there,
                 at::ScalarType dtype, int rank, int64_t version) {
  if (here.size() != there.size()) {
    throw MachineError("rank ", rank, " answered ", there.size(), " canary log-probabilities for ",
                       "version ", version, "; expected ", here.size());
  }
  const double tolerance = dtype == at::kDouble ? 1e-9 : dtype == at::kBFloat16 ? 5e-2 : 1e-4;
  double largest = 0;
  for (size_t i = 0; i < here.size(); ++i) {
    const double difference = std::abs(here[i] - there[i]);
    // Written so that a NaN counts as the largest.
    if (!(difference <= largest)) largest = difference;
    if (std::isnan(difference)) break;
  }
  if (largest <= tolerance) return;
  throw MachineError(
      "rank ", rank, " computes other log-probabilities with the adapters of version ", version,
      ": the largest difference is ", largest, "; at most ", tolerance, " is expected");
}

}  // namespace flame

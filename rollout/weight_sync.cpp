#include "rollout/weight_sync.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/files/checksum.h"
#include "base/log.h"
#include "base/random.h"
#include "comm/shared_memory.h"
#include "comm/tags.h"

namespace flame {
namespace {

// The tag of a sync's transfers. One tag is enough: a rank takes one sync after the other.
// Small enough to be digested while it is still in the cache from its copy. With many smaller
// parts, more time would go into polling.
constexpr int64_t kPartBytes = 1 << 22;
constexpr int64_t kAlignment = 64;

int64_t RoundUp(int64_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

int64_t BytesOf(const PackedAdapters::Entry& entry) {
  int64_t count = static_cast<int64_t>(c10::elementSize(entry.dtype));
  for (const int64_t size : entry.shape) count *= size;
  return count;
}

std::string ChecksumOf(const at::Tensor& bytes) {
  Xxh3Stream stream;
  stream.Update(bytes.const_data_ptr(), bytes.nbytes());
  return stream.Finish();
}

void CheckDigest(const PackedAdapters& packed, const std::string& found, int rank) {
  if (found == packed.checksum) return;
  throw MachineError("rank ", rank, " received adapters of version ", packed.version,
                     " with checksum ", found, "; the sender's is ", packed.checksum);
}

std::vector<at::Tensor> PartsOf(const at::Tensor& bytes) {
  std::vector<at::Tensor> parts;
  for (int64_t at = 0; at < bytes.numel(); at += kPartBytes) {
    parts.push_back(bytes.narrow(0, at, std::min(kPartBytes, bytes.numel() - at)));
  }
  return parts;
}

// Returns `size` tokens drawn from the vocabulary, then each entity kind's first and last slot.
std::vector<int32_t> CanaryTokens(const Policy& policy, RandomStream* random, int64_t size) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < size; ++i) {
    tokens.push_back(static_cast<int32_t>(random->Below(policy.config().vocab_size)));
  }
  for (const EntitySlots& slots : policy.entities()) {
    if (slots.collab.size(0) == 0) continue;
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

std::vector<PackedAdapters::Entry> EntriesOf(const NamedTensors& adapters) {
  std::vector<PackedAdapters::Entry> entries;
  for (const auto& [name, tensor] : adapters) {
    entries.push_back({name, tensor.scalar_type(), tensor.sizes().vec()});
  }
  return entries;
}

int64_t PackedSize(const std::vector<PackedAdapters::Entry>& entries) {
  int64_t size = 0;
  for (const auto& entry : entries) size += RoundUp(BytesOf(entry));
  return size;
}

NamedTensors TensorsOf(const PackedAdapters& packed) {
  NamedTensors tensors;
  int64_t offset = 0;
  for (const auto& entry : packed.entries) {
    const int64_t size = BytesOf(entry);
    tensors.emplace(entry.name,
                    packed.bytes.narrow(0, offset, size).view(entry.dtype).view(entry.shape));
    offset += RoundUp(size);
  }
  return tensors;
}

at::Tensor SyncBuffer(int64_t size) {
  try {
    return MakeShared(size);
  } catch (const MachineError& error) {
    LogWarning("adapters are synced by messages alone: ", error.what());
    return at::empty({size}, at::kByte);
  }
}

PackedAdapters PlacesFor(const NamedTensors& like, at::Tensor bytes) {
  PackedAdapters packed;
  packed.entries = EntriesOf(like);
  packed.bytes = std::move(bytes);
  // Zeroes the padding, because the checksum includes it.
  int64_t end = 0;
  for (const auto& entry : packed.entries) {
    const int64_t from = end + BytesOf(entry);
    end = RoundUp(from);
    packed.bytes.narrow(0, from, end - from).zero_();
  }
  return packed;
}

void Seal(int64_t version, PackedAdapters* packed) {
  packed->version = version;
  packed->checksum = ChecksumOf(packed->bytes);
}

PackedAdapters PackAdapters(int64_t version, const NamedTensors& adapters) {
  c10::NoGradGuard no_grad;
  PackedAdapters packed = PlacesFor(adapters, SyncBuffer(PackedSize(EntriesOf(adapters))));
  for (const auto& [name, place] : TensorsOf(packed)) place.copy_(adapters.at(name).detach());
  Seal(version, &packed);
  return packed;
}

void WriteHeader(const PackedAdapters& packed, WireWriter* out) {
  out->Pod(packed.version);
  out->Text(packed.checksum);
  out->Pod<uint64_t>(packed.entries.size());
  for (const auto& entry : packed.entries) {
    out->Text(entry.name);
    out->Pod(entry.dtype);
    out->Vector(entry.shape);
  }
}

PackedAdapters ReadHeader(WireReader* in) {
  PackedAdapters packed;
  packed.version = in->Pod<int64_t>();
  packed.checksum = in->Text();
  const auto count = in->Pod<uint64_t>();
  for (uint64_t i = 0; i < count; ++i) {
    PackedAdapters::Entry entry;
    entry.name = in->Text();
    entry.dtype = in->Pod<at::ScalarType>();
    entry.shape = in->Vector<int64_t>();
    packed.entries.push_back(std::move(entry));
  }
  return packed;
}

std::vector<std::unique_ptr<Work>> SendBytes(const PackedAdapters& packed, int rank,
                                             Communicator* world) {
  std::vector<std::unique_ptr<Work>> works;
  for (const at::Tensor& part : PartsOf(packed.bytes)) {
    works.push_back(world->SendTensor(part, rank, kAdaptersTag));
  }
  return works;
}

void ReceiveBytes(int source, Communicator* world, PackedAdapters* packed) {
  Xxh3Stream stream;
  const std::vector<at::Tensor> parts = PartsOf(packed->bytes);
  for (size_t i = 0; i < parts.size(); ++i) {
    world->ReceiveTensor(parts[i], source, kAdaptersTag)->Wait();
    stream.Update(parts[i].const_data_ptr(), parts[i].nbytes());
  }
  CheckDigest(*packed, stream.Finish(), world->rank());
}

void CheckBytes(const PackedAdapters& packed, int rank) {
  CheckDigest(packed, ChecksumOf(packed.bytes), rank);
}

void CheckAdapters(const std::vector<PackedAdapters::Entry>& adapters, int rank, int64_t version,
                   const Policy& policy) {
  const auto fail = [&](const std::string& what) {
    throw MachineError("rank ", rank, " refuses the adapters of version ", version, ": ", what);
  };
  const NamedTensors own = AdaptersOf(policy);
  if (adapters.size() != own.size()) {
    fail(StrCat("expected ", own.size(), " tensors, found ", adapters.size()));
  }
  for (const auto& [name, dtype, shape] : adapters) {
    const auto place = own.find(name);
    if (place == own.end()) fail(StrCat("'", name, "' is unknown"));
    if (place->second.sizes() != shape || place->second.scalar_type() != dtype) {
      fail(StrCat("'", name, "' is ", dtype, " ", at::IntArrayRef(shape), "; expected ",
                  place->second.scalar_type(), " ", place->second.sizes()));
    }
  }
}

void LoadAdapters(const NamedTensors& adapters, Policy* policy) {
  c10::NoGradGuard no_grad;
  const NamedTensors own = AdaptersOf(*policy);
  for (const auto& [name, tensor] : adapters) {
    const at::Tensor& place = own.at(name);
    if (place.const_data_ptr() != tensor.const_data_ptr()) place.copy_(tensor);
  }
}

void UseAdapters(const NamedTensors& adapters, Policy* policy) {
  const NamedTensors own = AdaptersOf(*policy);
  for (const auto& [name, tensor] : adapters) {
    at::Tensor place = own.at(name);
    if (!place.is_cpu()) return LoadAdapters(adapters, policy);
    place.set_data(tensor);
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
  return {version, PackAdapters(version, AdaptersOf(policy)), CanaryLogProbs(policy),
          policy.dtype()};
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
    // The negated comparison makes a NaN count as the largest difference.
    if (!(difference <= largest)) largest = difference;
    if (std::isnan(difference)) break;
  }
  if (largest <= tolerance) return;
  throw MachineError(
      "rank ", rank, " computes other log-probabilities with the adapters of version ", version,
      ": the largest difference is ", largest, "; at most ", tolerance, " is expected");
}

}  // namespace flame

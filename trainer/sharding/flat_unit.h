// Tensors that are gathered, reduced and freed together, as one flat buffer.
#ifndef FLAME_TRAINER_SHARDING_FLAT_UNIT_H_
#define FLAME_TRAINER_SHARDING_FLAT_UNIT_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "trainer/optimizer/adamw.h"

namespace flame {

// A flat tensor whose memory can be taken away and given back while tensors that are views of it
// stay; they must not be read in between. Views keep the memory that is there alive.
class HollowTensor {
 public:
  // No memory at first.
  HollowTensor(int64_t size, const at::TensorOptions& options);
  const at::Tensor& tensor() const { return tensor_; }
  bool there() const { return memory_.defined(); }
  at::Tensor Take();            // the memory, a flat tensor of as many elements
  void Put(at::Tensor memory);  // memory from Take() of one as large

 private:
  at::Tensor tensor_, memory_;
};

// Memory for units, counted. What is given back to be kept waits for the next that asks for as much
// of its type.
class BufferPool {
 public:
  at::Tensor Get(int64_t size, const at::TensorOptions& options);
  void Keep(at::Tensor buffer);
  void Drop(at::Tensor buffer);
  void DropWaiting();
  int64_t peak_bytes() const { return peak_bytes_; }  // out and waiting

 private:
  using Key = std::pair<at::ScalarType, int64_t>;
  std::map<Key, std::vector<at::Tensor>> waiting_;
  int64_t bytes_ = 0, peak_bytes_ = 0;
};

// Where a tensor lies in its unit.
struct UnitMember {
  std::string name;
  at::Tensor tensor;
  int64_t offset = 0;  // elements
};

// Tensors of one dtype laid out one behind the other, padded so that `shards` ranks get as much.
struct UnitLayout {
  std::vector<UnitMember> members;
  int64_t size = 0;  // with the padding
};
UnitLayout LayOut(const NamedTensors& tensors, int64_t shards);

// Makes the members views of `whole`.
void PointMembers(const UnitLayout& layout, const at::Tensor& whole);
// Makes their gradients views of `whole`.
void PointGradients(const UnitLayout& layout, const at::Tensor& whole);

}  // namespace flame

#endif  // FLAME_TRAINER_SHARDING_FLAT_UNIT_H_

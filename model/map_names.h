// Names of the seven linear maps of a block, which LoRA targets are given by.
#ifndef FLAME_MODEL_MAP_NAMES_H_
#define FLAME_MODEL_MAP_NAMES_H_

#include <array>
#include <cstddef>
#include <string>
#include <vector>

namespace flame {

// The seven linear maps of a block, in the order of kMapNames.
enum Map { kQuery, kKey, kValue, kOutput, kGate, kUp, kDown, kNumMaps };
// "self_attn.q_proj", ..., "mlp.down_proj".
extern const std::array<const char*, kNumMaps> kMapNames;

// Index in kMapNames of a map by its short name, "q_proj". Throws UsageError, which begins with
// `key`, on an unknown one.
size_t MapIndex(const std::string& key, const std::string& target);
// Throws UsageError, which begins with `key`, if `targets` is empty or holds an unknown name.
void CheckTargets(const std::string& key, const std::vector<std::string>& targets);

}  // namespace flame

#endif  // FLAME_MODEL_MAP_NAMES_H_

// save_policy MODEL ADAPTER OUT
//
// Loads a policy in float32, merges an adapter in peft's format into it, and saves it for
// transformers to load.
#include <iostream>

#include "model/files/policy_files.h"
#include "model/policy.h"

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "save_policy MODEL ADAPTER OUT\n";
    return 2;
  }
  try {
    flame::Policy policy = flame::LoadPolicy(argv[1], at::kFloat);
    LoadPeftAdapters(argv[2], &policy);
    policy.MergeAdapters();
    SavePolicy(policy, argv[3]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}

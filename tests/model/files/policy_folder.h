// A folder for saved policies, and policies to save.
#ifndef FLAME_TESTS_MODEL_FILES_POLICY_FOLDER_H_
#define FLAME_TESTS_MODEL_FILES_POLICY_FOLDER_H_

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "model/files/policy_files.h"
#include "tests/model/oracle.h"

namespace flame {

class PolicyFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() / ("flame-policy-" + std::to_string(getpid()));
    folder_ = root_ / "policy";
    std::filesystem::create_directories(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  // Changes one key of a JSON file in the folder.
  void Edit(const char* file, const char* key, const nlohmann::json& value) const {
    nlohmann::json object = nlohmann::json::parse(ReadWholeFile(folder_ / file));
    object[key] = value;
    WriteFileAtomically(folder_ / file, object.dump());
  }
  std::string LoadError() const {
    try {
      LoadPolicy(folder_, at::kFloat);
    } catch (const DataError& error) {
      return error.what();
    }
    return "no error";
  }
  std::filesystem::path root_, folder_;
};

inline void ExpectSameParameters(const Policy& a, const Policy& b) {
  ASSERT_EQ(a.parameters().size(), b.parameters().size());
  for (const auto& [name, tensor] : a.parameters()) {
    EXPECT_TRUE(at::equal(tensor, b.parameters().at(name))) << name;
  }
}

// A policy with slots and adapters.
inline Policy FullPolicy() {
  Policy policy = TestPolicy(at::kFloat, /*tie=*/false);
  policy.AddEntities({{"drug", 40, at::arange(30, at::kDouble).sin().view({5, 6}), 7},
                      {"procedure", 50, at::arange(8, at::kDouble).cos().view({4, 2}), 3}},
                     3);
  AddTestAdapters(&policy);
  return policy;
}

}  // namespace flame

#endif  // FLAME_TESTS_MODEL_FILES_POLICY_FOLDER_H_

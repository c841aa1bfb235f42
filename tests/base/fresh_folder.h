#ifndef FLAME_TESTS_BASE_FRESH_FOLDER_H_
#define FLAME_TESTS_BASE_FRESH_FOLDER_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace flame {

// Returns an empty folder for the running test.
inline std::filesystem::path FreshFolder(const std::string& name = "run") {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "flame" /
                                       test->test_suite_name() / test->name() / name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

}  // namespace flame

#endif  // FLAME_TESTS_BASE_FRESH_FOLDER_H_

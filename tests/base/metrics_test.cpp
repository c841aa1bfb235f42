#include "base/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "tests/base/temporary_folder.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::string EventsIn(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().rfind("events.out.tfevents.", 0) == 0) {
      return ReadWholeFile(entry.path());
    }
  }
  return "";
}

// tests/peers/test_tensorboard.py sets FLAME_TEST_METRICS to a folder and reads the files that this
// test leaves there.
TEST(MetricsSink, ResumedRun_WritesLaterStepsAgain) {
  const TemporaryFolder temporary;
  const char* chosen = std::getenv("FLAME_TEST_METRICS");
  const fs::path folder = chosen ? fs::path(chosen) : temporary / "grpo";
  {
    MetricsSink sink(folder, -1);
    for (int step = 0; step < 4; ++step) sink.Write({{"step", step}, {"loss", 10.0 - step}});
  }
  MetricsSink sink(folder, 1);
  sink.Write({{"step", 2}, {"loss", 0.25}, {"stage", "grpo"}});
  sink.Write({{"step", 300}, {"loss", std::numeric_limits<double>::quiet_NaN()}, {"kl", 1}});
  EXPECT_EQ(ReadWholeFile(folder / "metrics.jsonl"),
            "{\"loss\":10.0,\"step\":0}\n"
            "{\"loss\":9.0,\"step\":1}\n"
            "{\"loss\":0.25,\"stage\":\"grpo\",\"step\":2}\n"
            "{\"kl\":1,\"loss\":null,\"step\":300}\n");
}

TEST(MetricsSink, LineCutShortByAKill_Dropped) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "metrics.jsonl", "{\"step\":1}\n{\"step\":2,\"lo");
  MetricsSink sink(folder.path(), 5);
  EXPECT_EQ(ReadWholeFile(folder / "metrics.jsonl"), "{\"step\":1}\n");
}

TEST(MetricsSink, ForeignLineInside_DataErrorNamesIt) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "metrics.jsonl", "{\"step\":1}\nnonsense\n{\"step\":2}\n");
  EXPECT_THAT([&] { MetricsSink(folder.path(), 5); },
              testing::ThrowsMessage<DataError>(testing::HasSubstr("metrics.jsonl:2: expected")));
}

// A TFRecord starts with a length (8 bytes) and its checksum (4). The first event takes 26 bytes:
// wall time 9, step 2, file version 2 + 13.
TEST(MetricsSink, EventFile_StartsWithTheVersionRecord) {
  const TemporaryFolder folder;
  MetricsSink sink(folder / "a", -1);
  const std::string bytes = EventsIn(folder / "a");
  ASSERT_GT(bytes.size(), 40u);
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x1a\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(bytes.substr(12 + 9 + 2 + 2, 13), "brain.Event:2");
}

TEST(MetricsSink, DiskFull_MachineError) {
  const SmallDisk disk;
  if (!disk.problem().empty()) GTEST_SKIP() << disk.problem();
  MetricsSink sink(disk.path(), -1);
  const auto write_much = [&] {
    for (int step = 0; step < 100; ++step) {
      sink.Write({{"step", step}, {"note", std::string(100000, 'x')}});
    }
  };
  EXPECT_THAT(write_much,
              testing::ThrowsMessage<MachineError>(testing::HasSubstr("No space left on device")));
}

}  // namespace
}  // namespace flame

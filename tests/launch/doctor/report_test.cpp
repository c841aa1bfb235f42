#include "launch/doctor/report.h"

#include <gtest/gtest.h>

#include <functional>

namespace flame {
namespace {

constexpr int64_t kGiB = int64_t{1} << 30;

// Returns faultless findings of four ranks, two on each of two hosts.
Findings Sound() {
  Findings findings;
  findings.num_ranks = 4;
  for (int rank = 0; rank < 4; ++rank) {
    RankFacts facts;
    facts.rank = rank;
    facts.host = rank < 2 ? "alder" : "birch";
    facts.versions = {{"flame", "f00d"}, {"torch", "2.8.0"}};
    facts.libraries = {{"libtorch_cpu.so", "0123456789abcdef"}};
    facts.nccl_files = {"/opt/libnccl.so.2"};
    facts.open_files = 1024;
    facts.shared_memory_bytes = kGiB;
    facts.cores = 4;
    facts.gpus = {{80 * kGiB, 80 * kGiB, {}}, {80 * kGiB, 80 * kGiB, {}}};
    findings.ranks.push_back(facts);
    findings.folder.push_back({rank, "", {}});
    findings.clock_ahead[rank] = 0.001;
  }
  findings.links = {{0, 2, "", 1e-5, 1e10}, {2, 0, "", 1e-5, 1e10}, {0, 1, "", 1e-6, 2e10}};
  return findings;
}

std::vector<CheckResult> Failed(const Findings& findings) {
  std::vector<CheckResult> failed;
  for (const CheckResult& check : JudgeFindings(findings, /*expects_gpus=*/true)) {
    if (!check.passed) failed.push_back(check);
  }
  return failed;
}

TEST(DoctorReport, SoundHostsPass) { EXPECT_TRUE(Failed(Sound()).empty()); }

struct Planted {
  const char* check;  // the only check that fails
  const char* named;  // text in its `found`
  std::function<void(Findings&)> plant;
};

class PlantedFault : public testing::TestWithParam<Planted> {};

TEST_P(PlantedFault, FailsItsCheckAloneAndIsNamedWithAMend) {
  Findings findings = Sound();
  GetParam().plant(findings);
  const auto failed = Failed(findings);
  ASSERT_EQ(failed.size(), 1);
  EXPECT_EQ(failed[0].name, GetParam().check);
  EXPECT_NE(failed[0].found.find(GetParam().named), std::string::npos) << failed[0].found;
  EXPECT_FALSE(failed[0].fix.empty());
}

INSTANTIATE_TEST_SUITE_P(
    DoctorReport, PlantedFault,
    testing::Values(
        Planted{"ranks", "rank 3 could not collect its facts: no memory",
                [](Findings& f) {
                  f.unknown[3] = "no memory";
                  f.ranks.pop_back();
                }},
        Planted{"start", "segmentation fault",
                [](Findings& f) { f.ranks[0].start_has_barrier = false; }},
        Planted{"same flame", "beef: rank 2 on birch",
                [](Findings& f) { f.ranks[2].versions["flame"] = "beef"; }},
        Planted{"same torch", "none: rank 1 on alder",
                [](Findings& f) { f.ranks[1].versions.erase("torch"); }},
        Planted{"same libraries", "libtorch_cpu.so",
                [](Findings& f) { f.ranks[3].libraries["libtorch_cpu.so"] = "fedcba"; }},
        Planted{"one NCCL a process", "rank 1 on alder has",
                [](Findings& f) { f.ranks[1].nccl_files.push_back("/usr/lib/libnccl.so.2"); }},
        Planted{"GPUs", "rank 2 on birch: no driver",
                [](Findings& f) { f.ranks[2].gpu_error = "no driver"; }},
        Planted{"GPUs", "rank 3 on birch: GPU 1 has 40960 MiB free of 81920",
                [](Findings& f) { f.ranks[3].gpus[1].free_bytes = 40 * kGiB; }},
        Planted{"GPUs", "GPU 0 cannot reach GPU 1's memory",
                [](Findings& f) { f.ranks[0].gpus[0].unreachable = {1}; }},
        Planted{"run folder is writable", "rank 1 on alder: no space left",
                [](Findings& f) { f.folder[1].error = "no space left"; }},
        Planted{"run folder is shared", "rank 0 on alder does not see the files of rank 2 on birch",
                [](Findings& f) { f.folder[0].unseen = {2}; }},
        Planted{"messages", "rank 0 on alder to rank 2 on birch: no answer within 10 s",
                [](Findings& f) { f.links[0].error = "no answer within 10 s"; }},
        Planted{"clocks", "at most 2.500 s from rank 0's: rank 3 on birch",
                [](Findings& f) { f.clock_ahead[3] = -2.5; }},
        Planted{"open files", "rank 2 on birch", [](Findings& f) { f.ranks[2].open_files = 64; }},
        Planted{"shared memory", "rank 0 on alder",
                [](Findings& f) { f.ranks[0].shared_memory_bytes = 1 << 20; }}));

TEST(DoctorReport, WhatWasNotTriedWithASilentRankDoesNotPass) {
  Findings findings = Sound();
  findings.silent = {3};
  findings.ranks.pop_back();
  std::vector<std::string> names;
  for (const CheckResult& check : Failed(findings)) names.push_back(check.name);
  EXPECT_EQ(names, (std::vector<std::string>{"ranks", "run folder is writable",
                                             "run folder is shared", "messages", "clocks"}));
}

TEST(DoctorReport, FactsOfABuildThatTellsOthersAreRead) {
  const RankFacts facts = nlohmann::json{{"rank", 1}, {"host", "birch"}, {"other", 7}};
  EXPECT_EQ(facts.rank, 1);
  EXPECT_EQ(facts.host, "birch");
}

TEST(DoctorReport, TableAndJsonSayTheSame) {
  Findings findings = Sound();
  findings.clock_ahead[3] = 7;
  const auto checks = JudgeFindings(findings, /*expects_gpus=*/true);
  const auto report = DoctorJson(findings, checks);
  EXPECT_FALSE(report["passed"]);
  EXPECT_EQ(report["ranks"].size(), 4);
  const std::string table = DoctorTable(report);
  for (const CheckResult& check : checks) {
    EXPECT_NE(table.find((check.passed ? "pass  " : "FAIL  ") + check.name), std::string::npos);
  }
  EXPECT_NE(table.find("fix: set the clock"), std::string::npos) << table;
}

}  // namespace
}  // namespace flame

#include "trainer/supervised/early_stopping.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"

namespace flame {
namespace {

TEST(EarlyStopping, Losses_DecideBestAndStop) {
  EarlyStopping evaluations(10, 2, 65);
  EXPECT_FALSE(evaluations.Due(5));
  EXPECT_TRUE(evaluations.Due(20));
  EXPECT_TRUE(evaluations.Due(65));
  EXPECT_EQ(evaluations.best_step(), 0);
  EXPECT_TRUE(evaluations.Record(3));
  EXPECT_TRUE(evaluations.Record(2));
  EXPECT_FALSE(evaluations.Record(2.5));
  EXPECT_FALSE(evaluations.stopped());
  EXPECT_TRUE(evaluations.Record(1));
  EXPECT_FALSE(evaluations.Record(1));  // not lower than the best
  EXPECT_FALSE(evaluations.Record(1.5));
  EXPECT_TRUE(evaluations.stopped());
  EXPECT_TRUE(evaluations.stopped_early());
  EXPECT_EQ(evaluations.best_step(), 40);
  EXPECT_EQ(evaluations.best_loss(), 1);
  EXPECT_EQ(evaluations.losses().numel(), 7);
  EXPECT_EQ(evaluations.StepOf(6), 65);
}

TEST(EarlyStopping, Resumed_StandsWhereItStood) {
  EarlyStopping evaluations(10, 2, 65);
  for (const double loss : {3.0, 1.0, 2.0}) evaluations.Record(loss);
  EarlyStopping resumed(10, 2, 65);
  resumed.losses().copy_(evaluations.losses());
  resumed.Resume(34);
  EXPECT_EQ(resumed.count(), 3);
  EXPECT_EQ(resumed.best_step(), 20);
  EXPECT_FALSE(resumed.stopped());
  resumed.Record(1.5);
  EXPECT_TRUE(resumed.stopped());
}

TEST(EarlyStopping, WithoutPatienceOrValidation_NeverStops) {
  EarlyStopping patient(1, 0, 9);
  for (int i = 0; i < 9; ++i) patient.Record(i);
  EXPECT_FALSE(patient.stopped());
  EXPECT_EQ(patient.best_step(), 1);
  EarlyStopping none(0, 3, 9);
  EXPECT_FALSE(none.Due(9));
  EXPECT_FALSE(none.stopped());
  EXPECT_EQ(none.losses().numel(), 0);
}

TEST(EarlyStopping, LossThatIsNoNumber_IsRefused) {
  EarlyStopping evaluations(1, 0, 9);
  EXPECT_THROW(evaluations.Record(std::numeric_limits<double>::quiet_NaN()), MachineError);
}

}  // namespace
}  // namespace flame

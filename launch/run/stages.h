// The stages of a run. Each reads files of the run folder and writes files there.
//   prepare -> classifier -> tasks -> list -> grpo -> evaluate
#ifndef FLAME_LAUNCH_RUN_STAGES_H_
#define FLAME_LAUNCH_RUN_STAGES_H_

#include <string>
#include <vector>

#include "comm/communicator.h"
#include "data/corpus.h"
#include "launch/config/config.h"
#include "launch/run/stage.h"
#include "model/policy.h"

namespace flame {

// Makes corpus.h5 and base/ (tokenizer, starting weights, entity slots) from the hospital's tables.
// If data.hospital is synth and data.root is empty, makes hospital/ first.
void PrepareStage(const Config& config);
// Trains the encoders that config.encoders asks for, and writes the vectors of the corpus's
// entities: encode/entities.h5, and encode/NAME/model.safetensors of each encoder. Does nothing if
// the config asks for none.
void EncodeStage(const Config& config, Communicator* world);
// Trains pi_cls: classifier/model.
void ClassifierStage(const Config& config, Communicator* world);
// Makes pi_cls's scores and the list tasks: tasks/scores.h5, tasks/tasks.h5.
void TasksStage(const Config& config);
// Trains pi_list by SFT: list/model.
void ListStage(const Config& config, Communicator* world);
// Trains pi_list by step-wise GRPO: grpo/model. config.cluster assigns roles to the ranks of
// `world`.
void GrpoStage(const Config& config, Communicator* world);
// Returns the policy that GrpoStage trains: pi_list with merged adapters, slots of codes and drugs
// as rows of the embedding table, and new adapters; for the visits of `corpus`. If `tell`, logs the
// quantised maps that merging changed.
Policy LoadGrpoPolicy(const Config& config, const Corpus& corpus, bool tell);
// Returns the SHA-256 of GrpoStage's inputs, as recorded in its shards and checkpoints. Throws
// DataError if an earlier stage is not done.
std::string GrpoInputs(const Config& config);
// Evaluates the policies: evaluation.json.
void EvaluateStage(const Config& config);
// Returns the stage as EvaluateStage begins it, without `make`. Throws DataError unless the stages
// before it are done and were made with this config.
Stage MakeEvaluateStage(const Config& config);

// Runs all stages in order in one process.
void RunPipeline(const Config& config);
// Logs in one line how long each stage took.
void TellTimes(const Config& config);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_STAGES_H_

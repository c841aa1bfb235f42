// The encoders of a run.
#ifndef FLAME_LAUNCH_RUN_ENCODE_H_
#define FLAME_LAUNCH_RUN_ENCODE_H_

#include <optional>
#include <string>

#include "comm/communicator.h"
#include "data/corpus.h"
#include "encoders/micron.h"
#include "encoders/raremed.h"
#include "launch/config/config.h"

namespace flame {

// Trains the encoders that config.encoders asks for on the run's training visits and writes their
// weights and entities.h5. A training resumes from its checkpoints.
void MakeEntities(const Config& config, const std::string& inputs, const std::string& settings,
                  Communicator* world);

// The encoders that the run has trained, for a corpus with its codes.
struct TrainedEncoders {
  std::optional<Micron> micron;
  std::optional<Raremed> raremed;
};
TrainedEncoders LoadEncoders(const Config& config, const Corpus& corpus);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_ENCODE_H_

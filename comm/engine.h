// Advances the started operations of one rank on all its communicators. A wait for one operation
// advances all of them, so ranks may wait in different orders. A background thread advances them
// now and then while the rank computes.
#ifndef FLAME_COMM_ENGINE_H_
#define FLAME_COMM_ENGINE_H_

#include <atomic>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

namespace flame {

class Operation {
 public:
  virtual ~Operation() = default;
  // Goes as far as possible without waiting. True once finished or failed. Never throws: the
  // operation keeps its error. Called under the engine's lock.
  virtual bool Advance() = 0;
  // True while a peer is known to be sending or receiving a large transfer, which progresses only
  // while this rank polls.
  virtual bool Moving() const = 0;
};

class Engine {
 public:
  Engine() = default;
  // Leaks unfinished operations, because a library may still write to their buffers.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  void Start(std::shared_ptr<Operation> operation);
  // Advances every operation; call with the lock held.
  void Progress();
  bool Moving() const;  // true if any operation is moving; call with the lock held
  bool Idle();          // true if nothing is under way

  // The engine's lock, held for every use of a transport.
  std::mutex& mutex() { return mutex_; }

 private:
  void Background();

  std::mutex mutex_;
  std::list<std::shared_ptr<Operation>> pending_;
  std::thread background_;
  std::condition_variable wake_;
  std::atomic<bool> asleep_ = false;
  bool stopping_ = false;
};

}  // namespace flame

#endif  // FLAME_COMM_ENGINE_H_

#include "tests/model/memory/machine.h"

namespace deja::model {

Instruction& Program::add(Op op) {
  code_.emplace_back().op = op;
  return code_.back();
}

void Program::load(int reg, Place from, Access access) {
  Instruction& what = add(Op::kLoad);
  what.a = reg;
  what.location = from.location;
  what.index = from.index;
  what.stride = from.stride;
  what.access = access;
}

void Program::await(int reg, Place from, Access access, int at_least) {
  load(reg, from, access);
  code_.back().op = Op::kAwait;
  code_.back().value = at_least;
}

void Program::store(Place to, Access access, int value) {
  Instruction& what = add(Op::kStore);
  what.location = to.location;
  what.index = to.index;
  what.stride = to.stride;
  what.access = access;
  what.value = value;
}

void Program::fence(Access access) {
  add(Op::kFence).access = access;
}

void Program::if_equal(int reg, int value, int label) {
  Instruction& what = add(Op::kIfEqual);
  what.a = reg;
  what.value = value;
  what.target = label;
}

void Program::if_not(int reg, int value, int label) {
  if_equal(reg, value, label);
  code_.back().op = Op::kIfNot;
}

void Program::if_same(int reg, int other, int label) {
  Instruction& what = add(Op::kIfSame);
  what.a = reg;
  what.b = other;
  what.target = label;
}

void Program::if_different(int reg, int other, int label) {
  if_same(reg, other, label);
  code_.back().op = Op::kIfDifferent;
}

void Program::go(int label) {
  add(Op::kGoto).target = label;
}
void Program::ring() {
  add(Op::kRing);
}
void Program::sleep() {
  add(Op::kSleep);
}
void Program::drain() {
  add(Op::kDrain);
}
void Program::fail(const char* what) {
  add(Op::kFail).text = what;
}
void Program::end() {
  add(Op::kEnd);
}

void Program::label(int number) {
  const auto at = static_cast<std::size_t>(number);
  if (labels_.size() <= at) labels_.resize(at + 1, -1);
  labels_[at] = static_cast<int>(code_.size());
}

std::vector<Instruction> Program::code() const {
  std::vector<Instruction> code = code_;
  for (Instruction& what : code) {
    switch (what.op) {
      case Op::kIfEqual:
      case Op::kIfNot:
      case Op::kIfSame:
      case Op::kIfDifferent:
      case Op::kGoto:
        what.target = labels_.at(static_cast<std::size_t>(what.target));
        break;
      default:
        break;
    }
  }
  return code;
}

}  // namespace deja::model
